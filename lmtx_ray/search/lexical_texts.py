"""Texts of labels as numbers of words: gathered as they come, or moved with an edited label set.

Shapes: L labels now and L0 before, T texts, V words, N pairs of a text and one of its words.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical_weights import Weights, ranges, weights_of

Cut = Sequence[Sequence[str]]  # texts as lists of their words
Label = tuple[Cut, Cut]  # its own text, in each language, and its aliases


@dataclass
class Gathered:
    """Numbers of texts, not texts. A text without words is left out."""

    numbers: dict[str, int] = field(default_factory=dict)  # of the words as they come
    pairs: array[int] = field(default_factory=lambda: array("i"))
    distinct: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    own: array[int] = field(default_factory=lambda: array("B"))

    def add(self, place: int, label: Label) -> None:
        """A label's texts."""
        numbers = self.numbers
        for own, texts in zip((1, 0), label, strict=True):
            for text in filter(None, texts):
                words = {numbers.setdefault(word, len(numbers)) for word in text}
                self.pairs.extend(words)
                self.distinct.append(len(words))
                self.lengths.append(len(text))
                self.labels.append(place)
                self.own.append(own)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """words_N, by `numbers`, then distinct_T, lengths_T, labels_T and own_T."""
        values = self.pairs, self.distinct, self.lengths, self.labels
        numbers = [np.array(value, np.int32) for value in values]
        return *numbers, np.array(self.own, np.uint8)


def weigh(labels: Iterable[Label]) -> Weights:
    """Weights of labels, [L]."""
    texts, count = Gathered(), 0
    for label in labels:
        texts.add(count, label)
        count += 1
    words_N, *of_texts = texts.arrays()
    vocabulary = sorted(texts.numbers)
    places = _places(vocabulary, list(texts.numbers))
    return weights_of(vocabulary, places[words_N], *of_texts, count)


def moved(
    old: Weights, now_L0: np.ndarray, fresh: Iterable[tuple[int, Label]], labels: int
) -> Weights:
    """Weights of an edited label set of `labels` labels, the same as of one weighed anew.

    Args:
        now_L0: int32, the place of each label now; PADDING where it is no more or has other texts.
        fresh: (place, label) of all others.
    """
    texts = Gathered()
    for place, label in fresh:
        texts.add(place, label)
    fresh_words_N, *of_fresh = texts.arrays()
    distinct_T, labels_T = np.diff(old.starts_T).astype(np.int32), now_L0[old.labels_T]
    kept_T = labels_T != PADDING
    kept_words_N = old.words_N[np.repeat(kept_T, distinct_T)]
    used_V = np.bincount(kept_words_N, minlength=len(old.words)) > 0
    kept = [old.words[place].decode() for place in np.flatnonzero(used_V).tolist()]
    vocabulary = sorted(texts.numbers.keys() | set(kept))
    places_V = np.zeros(len(old.words), np.int32)
    places_V[used_V] = _places(vocabulary, kept)
    own_N = _places(vocabulary, list(texts.numbers))[fresh_words_N]
    words_N = np.concatenate([places_V[kept_words_N], own_N])
    of_kept = (distinct_T[kept_T], old.lengths_T[kept_T], labels_T[kept_T], old.own_T[kept_T])
    both = [np.concatenate(pair) for pair in zip(of_kept, of_fresh, strict=True)]
    order_T = np.argsort(both[2], kind="stable")
    firsts_T = np.cumsum(both[0]) - both[0]
    words_N = words_N[ranges(firsts_T[order_T], both[0][order_T])]
    return weights_of(vocabulary, words_N, *(values[order_T] for values in both), labels)


def _places(vocabulary: Sequence[str], words: Sequence[str]) -> np.ndarray:
    """int32: where each word stands in the vocabulary."""
    places = {word: place for place, word in enumerate(vocabulary)}
    return np.array([places[word] for word in words], np.int32)
