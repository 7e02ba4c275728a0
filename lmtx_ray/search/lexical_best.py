"""The best labels of one document, found without looking at all that share a word with it.

A word's texts lie from the best down: by the most that a text can score if the word is the rarest
that it shares with the document. A few of each word's first texts are scored, and what the k-th
label of them scores then says how far down each word's texts have to be looked at. The answer is
that of scoring everything: whichever text scores more lies above that line for one of its words.
Of few labels, in the index or allowed, everything is scored, which is quicker there.

Shapes: W words of a document that the index knows, N texts looked at, M words of theirs, K labels
kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lmtx_ray.io.spans import ranges
from lmtx_ray.search.lexical_weights import SLACK, Weights, key, level

LOOKED_AT = 96  # texts for each label wanted, of all words together, before the line is drawn
LEAST_EACH = 8  # of each word's
SMALL = 1 << 17  # texts of an index, or of the labels allowed, that are all scored
MOST_AT_ONCE = 1 << 19  # texts scored at once: about 100 MiB

Best = tuple[np.ndarray, np.ndarray]  # labels int32 and scores float32, best first
Spans = tuple[np.ndarray, np.ndarray, np.ndarray]  # texts [N], words of all [M], where each begins


class Asker:
    """Finds the best labels of one document after the other. Not for several threads."""

    def __init__(self, weights: Weights, k: int, allowed_L: np.ndarray | None = None) -> None:
        """`allowed_L`, bool, are the labels that may be found; all if None."""
        self._weights, self._k, self._allowed_L = weights, k, allowed_L
        # of each word what it adds, real to A and imaginary to S: one look-up for both sums
        self._asked_V = np.zeros(len(weights.words), np.complex128)
        self._few = self._allowed_if_few()

    def best(self, words_W: np.ndarray, counts_W: np.ndarray) -> Best:
        """At most k labels, all above 0; of equal scores the smaller label first.

        Args:
            words_W: Places of the document's words, int64.
            counts_W: How often it has each, int64.
        """
        asked_W = 1.0 + np.log(counts_W)
        idf_W = self._weights.idf_V[words_W]
        if len(self._weights.scale_T) <= SMALL:
            return self._best_of_all(words_W, idf_W * asked_W, idf_W)
        self._asked_V[words_W] = idf_W * asked_W + 1j * idf_W
        try:
            return self._best(words_W, asked_W) if self._few is None else self._best_of(self._few)
        finally:
            self._asked_V[words_W] = 0

    def _allowed_if_few(self) -> Spans | None:
        if self._allowed_L is None or len(self._weights.scale_T) <= SMALL:
            return None
        allowed_T = self._allowed_L[self._weights.labels_T]
        return self._spans(np.flatnonzero(allowed_T)) if allowed_T.sum() <= SMALL else None

    def _best_of(self, few: Spans) -> Best:
        scores_N = self._scores(*few)
        found_N = np.flatnonzero(scores_N > 0)
        return _foremost(self._weights.labels_T[few[0][found_N]], scores_N[found_N], self._k)

    def _best_of_all(self, words_W: np.ndarray, asked_W: np.ndarray, idf_W: np.ndarray) -> Best:
        weights = self._weights
        firsts_W = weights.firsts_V[words_W]
        lengths_W = weights.firsts_V[words_W + 1] - firsts_W
        texts_N, texts = weights.texts_N[ranges(firsts_W, lengths_W)], len(weights.scale_T)
        sums_T, shares_T = (
            np.bincount(texts_N, np.repeat(values_W, lengths_W), minlength=texts)
            for values_W in (asked_W, idf_W)
        )
        found_N = np.flatnonzero(shares_T > 0)
        if self._allowed_L is not None:
            found_N = found_N[self._allowed_L[weights.labels_T[found_N]]]
        scores_N = sums_T[found_N] * shares_T[found_N] ** 2 * weights.scale_T[found_N]
        return _foremost(weights.labels_T[found_N], scores_N.astype(np.float32), self._k)

    def _best(self, words_W: np.ndarray, asked_W: np.ndarray) -> Best:
        firsts_W, ends_W = self._weights.firsts_V[words_W], self._weights.firsts_V[words_W + 1]
        each = max(LEAST_EACH, LOOKED_AT * self._k // max(len(words_W), 1))
        looked_W = np.minimum(firsts_W + each, ends_W)
        best = self._better(firsts_W, looked_W, (np.empty(0, np.int32), np.empty(0, np.float32)))
        more_W = looked_W < ends_W  # what was not looked at has none of the other words
        words_W, asked_W = words_W[more_W], asked_W[more_W]
        looked_W, ends_W = looked_W[more_W], ends_W[more_W]
        if len(best[1]) == self._k:  # what scores no less than the last of them
            bound_W = float(best[1][-1]) / (self._factors(words_W, asked_W) * SLACK)
            line_W = key(words_W, level(bound_W, self._weights.top))
            above_W = self._weights.keys_N[looked_W] <= line_W  # of most words nothing more is
            looked_W = looked_W[above_W]
            ends_W = np.searchsorted(self._weights.keys_N, line_W[above_W], side="right")
        return self._better(looked_W, ends_W, best)

    def _factors(self, words_W: np.ndarray, asked_W: np.ndarray) -> np.ndarray:
        """How often its key's bound a text can score, whose rarest word of these is this one: that
        one counts as it is asked for, what else of the text is asked for as the most asked one that
        is no rarer."""
        idf_W = self._weights.idf_V[words_W]
        order_W = np.argsort(idf_W)
        most_W = np.maximum.accumulate(asked_W[order_W])
        others_W = most_W[np.searchsorted(idf_W[order_W], idf_W, side="right") - 1]
        least_W = idf_W / self._weights.rest_V[words_W]  # the word's own share
        return asked_W * least_W + others_W * (1.0 - least_W)

    def _better(self, firsts_W: np.ndarray, ends_W: np.ndarray, best: Best) -> Best:
        """The best of those so far and of the texts between, of which each word has a span."""
        for texts_N in _texts(self._weights.texts_N, firsts_W, ends_W):
            if self._allowed_L is not None:
                texts_N = texts_N[self._allowed_L[self._weights.labels_T[texts_N]]]
            scores_N = self._scores(*self._spans(texts_N))
            if len(best[1]) == self._k:
                above_N = scores_N >= best[1][-1]
                texts_N, scores_N = texts_N[above_N], scores_N[above_N]
            best = _foremost(
                np.concatenate([best[0], self._weights.labels_T[texts_N]]),
                np.concatenate([best[1], scores_N]),
                self._k,
            )
        return best

    def _spans(self, texts_N: np.ndarray) -> Spans:
        firsts_N = self._weights.starts_T[texts_N]
        lengths_N = self._weights.starts_T[texts_N + 1] - firsts_N
        words_M = self._weights.words_N[ranges(firsts_N, lengths_N)]
        return texts_N, words_M, np.cumsum(lengths_N) - lengths_N

    def _scores(self, texts_N: np.ndarray, words_M: np.ndarray, firsts_N: np.ndarray) -> np.ndarray:
        if not len(texts_N):
            return np.empty(0, np.float32)
        sums_N = np.add.reduceat(self._asked_V[words_M], firsts_N)
        found = sums_N.real * sums_N.imag**2 * self._weights.scale_T[texts_N]
        return found.astype(np.float32)


def _texts(texts_N: np.ndarray, firsts_W: np.ndarray, ends_W: np.ndarray) -> Iterator[np.ndarray]:
    """The texts of all spans, each once, in pieces of at most MOST_AT_ONCE."""
    lengths_W = ends_W - firsts_W
    before_W, total = np.cumsum(lengths_W) - lengths_W, int(lengths_W.sum())
    for start in range(0, total, MOST_AT_ONCE):
        low_W = np.minimum(np.maximum(start - before_W, 0), lengths_W)
        high_W = np.minimum(np.maximum(start + MOST_AT_ONCE - before_W, 0), lengths_W)
        found = np.sort(texts_N[ranges(firsts_W + low_W, high_W - low_W)])
        first = np.ones(len(found), bool)
        np.not_equal(found[1:], found[:-1], out=first[1:])
        yield found[first]


def _foremost(labels_N: np.ndarray, scores_N: np.ndarray, k: int) -> Best:
    """The k best labels, each by the best of its texts."""
    for most in (2 * k, len(labels_N)):
        kept = slice(None)
        if most < len(labels_N):
            kept = scores_N >= np.partition(scores_N, -most)[-most]
        labels, scores = labels_N[kept], scores_N[kept]
        order = np.lexsort((labels, -scores))
        labels, scores = labels[order], scores[order]
        firsts = np.sort(np.unique(labels, return_index=True)[1])[:k]
        if len(firsts) == k or most >= len(labels_N):
            break
    return labels[firsts], scores[firsts]
