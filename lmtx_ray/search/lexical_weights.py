"""What every word of a label set says for every label that has it, computed once.

Shapes: L labels, V words, N pairs of a label and one of its words.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lmtx_ray.search.vocabulary import SortedWords

K1, B = 3.0, 1.0


@dataclass(frozen=True)
class Weights:
    """Two matrices of one pattern: word w stands in labels_N[starts_V[w] : starts_V[w + 1]],
    ascending, with weight bm25_N and with the share_N of the label's words that it is, by idf."""

    words: SortedWords
    starts_V: np.ndarray  # int32, [V + 1]
    labels_N: np.ndarray  # int32
    bm25_N: np.ndarray  # float64
    share_N: np.ndarray  # float64
    labels: int  # L

    def matrix(self, values_N: np.ndarray) -> sparse.csr_matrix:
        """values_VL, over the arrays as they lie. ValueError where they are no such matrix."""
        shape = len(self.words), self.labels
        matrix = sparse.csr_matrix((values_N, self.labels_N, self.starts_V), shape, copy=False)
        matrix.check_format(full_check=True)
        return matrix

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are named in a file."""
        return {
            "words": self.words.bytes_N,
            "word_ends": self.words.ends_V,
            "starts": self.starts_V,
            "labels": self.labels_N,
            "bm25": self.bm25_N,
            "share": self.share_N,
            "count": np.array([self.labels]),
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Weights:
        """KeyError where one is missing."""
        words = SortedWords(arrays["words"], arrays["word_ends"])
        starts_V, labels_N = arrays["starts"], arrays["labels"]
        labels = int(arrays["count"][0])
        return cls(words, starts_V, labels_N, arrays["bm25"], arrays["share"], labels)


def weigh(texts: Iterable[str], words: Callable[[str], Sequence[str]]) -> Weights:
    """Weights of label texts, [L], each split by `words`. Numbers are kept, not texts."""
    numbers: dict[str, int] = {}  # of the words as they come
    pairs, distinct, lengths = array("i"), array("i"), array("i")
    for text in texts:
        label = words(text)
        own = {numbers.setdefault(word, len(numbers)) for word in label}
        pairs.extend(own)
        distinct.append(len(own))
        lengths.append(max(len(label), 1))
    vocabulary = sorted(numbers)
    places = np.empty(len(numbers), np.int32)
    places[[numbers[word] for word in vocabulary]] = np.arange(len(numbers))
    words_N = places[np.frombuffer(pairs, np.int32)]
    labels_N = np.repeat(np.arange(len(lengths), dtype=np.int32), distinct)
    order_N = np.argsort(words_N, kind="stable")
    return weights_of(
        vocabulary, words_N[order_N], labels_N[order_N], np.array(lengths, np.float64)
    )


def weights_of(
    vocabulary: list[str], words_N: np.ndarray, labels_N: np.ndarray, lengths_L: np.ndarray
) -> Weights:
    """Weights of pairs of word and label, ordered by both, and of the labels' lengths in words."""
    labels = len(lengths_L)
    frequencies_V = np.bincount(words_N, minlength=len(vocabulary))
    idf_N = np.log1p(labels / frequencies_V)[words_N]
    totals_L = np.maximum(np.bincount(labels_N, idf_N, minlength=labels), 1e-9)
    mean = lengths_L.mean() if labels else 1.0
    saturation_L = 1.0 / (1.0 + K1 * (1.0 - B + B * lengths_L / mean))
    starts_V = np.concatenate([[0], np.cumsum(frequencies_V)]).astype(np.int32)
    bm25_N, share_N = idf_N * saturation_L[labels_N], idf_N * (1.0 / totals_L)[labels_N]
    words = SortedWords.of(vocabulary)
    return Weights(words, starts_V, labels_N, bm25_N, share_N, labels)
