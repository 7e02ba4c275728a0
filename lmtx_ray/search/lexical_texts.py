"""Texts of labels as numbers of words: gathered as they come, or moved with an edited label set.

Shapes: L labels now and L0 before, T texts, V words, N pairs of a text and one of its words.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from lmtx_ray.io.spans import ranges
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical_weights import Texts, Weights, weights_of

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

    def texts(self, vocabulary: Sequence[str]) -> Texts:
        """As arrays, with words by their places in a vocabulary that has them all."""
        places = _places(vocabulary, list(self.numbers))
        return Texts(
            places[np.array(self.pairs, np.int32)],
            np.array(self.distinct, np.int32),
            np.array(self.lengths, np.int32),
            np.array(self.labels, np.int32),
            np.array(self.own, np.uint8),
        )


def weigh(labels: Iterable[Label]) -> Weights:
    """Weights of labels, [L]."""
    texts, count = Gathered(), 0
    for label in labels:
        texts.add(count, label)
        count += 1
    vocabulary = sorted(texts.numbers)
    return weights_of(vocabulary, texts.texts(vocabulary), count)


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
    distinct_T, labels_T = np.diff(old.starts_T).astype(np.int32), now_L0[old.labels_T]
    kept_T = labels_T != PADDING
    kept_words_N = old.words_N[np.repeat(kept_T, distinct_T)]
    used_V = np.bincount(kept_words_N, minlength=len(old.words)) > 0
    kept = [old.words[place].decode() for place in np.flatnonzero(used_V).tolist()]
    vocabulary = sorted(texts.numbers.keys() | set(kept))
    places_V = np.zeros(len(old.words), np.int32)
    places_V[used_V] = _places(vocabulary, kept)
    kept_texts = Texts(
        places_V[kept_words_N],
        distinct_T[kept_T],
        old.lengths_T[kept_T],
        labels_T[kept_T],
        old.own_T[kept_T],
    )
    return weights_of(vocabulary, _merged(kept_texts, texts.texts(vocabulary)), labels)


def _merged(some: Texts, others: Texts) -> Texts:
    """Both, label after label; no label has texts in both."""
    pairs = ((getattr(some, one.name), getattr(others, one.name)) for one in fields(Texts))
    both = Texts(*map(np.concatenate, pairs))
    order_T = np.argsort(both.labels_T, kind="stable")
    distinct_T = both.distinct_T[order_T]
    firsts_T = (np.cumsum(both.distinct_T) - both.distinct_T)[order_T]
    return Texts(
        both.words_N[ranges(firsts_T, distinct_T)],
        distinct_T,
        both.lengths_T[order_T],
        both.labels_T[order_T],
        both.own_T[order_T],
    )


def _places(vocabulary: Sequence[str], words: Sequence[str]) -> np.ndarray:
    """int32: where each word stands in the vocabulary."""
    places = {word: place for place, word in enumerate(vocabulary)}
    return np.array([places[word] for word in words], np.int32)
