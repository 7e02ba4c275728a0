"""Labels whose words a document names: BM25 over label texts, documents as queries.

Documents are long queries here and labels very short texts, the reverse of what BM25's usual
settings and libraries assume. Three things follow, each worth points of P@1 on labelled abstracts
outside every sample and test set: full length normalisation (b = 1) with a large k1, query terms
weighted by 1 + ln(count), and a factor for the share of a label's words (by idf) that the document
names, squared. With query terms counted once and k1 = 1.2, b = 0.75, P@1 was 28 instead of 78.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import sparse

from lmtx_ray.corpus.label_moves import Moves
from lmtx_ray.corpus.words import WORDS_VERSION, document_words, words
from lmtx_ray.search.candidates import PADDING, Candidates, merge_top_k, top_k
from lmtx_ray.search.lexical_moves import NotTold, moved
from lmtx_ray.search.lexical_weights import Weights, weigh
from lmtx_ray.search.tensor_file import open_tensors, write_tensors
from lmtx_ray.search.vocabulary import finder

FILE = "lexical.safetensors"
BLOCK = 256  # documents read at once
MOST_FOUND = 1 << 21  # labels found by documents scored at once: about 100 MiB


class LexicalIndex:
    """Scores label texts by the words of a document. Ids are positions in the label table.

    Shapes: B documents, L labels, V words, N pairs of label and word, W words of a document.
    """

    def __init__(self, weights: Weights) -> None:
        """ValueError for weights that are no matrices."""
        self._weights = weights
        self._place = finder(weights.words)
        self._bm25_VL = weights.matrix(weights.bm25_N)
        self._share_VL = weights.matrix(weights.share_N)

    @classmethod
    def build(cls, texts: Iterable[str]) -> LexicalIndex:
        """Index label texts, [L]. A text without a word is never found."""
        return cls(weigh(texts, words))

    def moved(
        self, moves: Moves, texts: Sequence[str], text_before: Callable[[int], str]
    ) -> LexicalIndex:
        """The index of an edited label set, of `texts` now, [L]; as `build` makes it, but that only
        fresh texts are read. `text_before` is asked for the text of a place before."""
        fresh = [texts[place] for place in moves.fresh().tolist()]
        try:
            return LexicalIndex(moved(self._weights, moves, fresh, text_before, words))
        except NotTold:
            return LexicalIndex.build(texts)

    def search(self, texts: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best labels for each document: ids_BK int32, scores_BK float32, all above 0."""
        ids_BK = np.full((len(texts), k), PADDING, dtype=np.int32)
        scores_BK = np.full((len(texts), k), -np.inf, dtype=np.float32)
        for start in range(0, len(texts), BLOCK):
            counts_BV = self._counts(texts[start : start + BLOCK])
            for first, end in self._blocks(counts_BV):
                found = self._best(counts_BV[first:end], k)
                own = slice(start + first, start + end)
                ids_BK[own], scores_BK[own] = found
        return ids_BK, scores_BK

    def _counts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        data: list[float] = []
        places: list[int] = []
        ends = [0]
        for text in texts:
            counts = (
                (self._place(word), count) for word, count in Counter(document_words(text)).items()
            )
            known = sorted((place, count) for place, count in counts if place is not None)
            places += [place for place, _ in known]
            data += [float(count) for _, count in known]
            ends.append(len(places))
        shape = (len(texts), len(self._weights.words))
        return sparse.csr_matrix((np.array(data, float), places, ends), shape=shape)

    def _blocks(self, counts_BV: sparse.csr_matrix) -> Iterator[tuple[int, int]]:
        """Spans of documents that find at most MOST_FOUND labels together, or are one."""
        ends_N = np.concatenate(
            [[0], np.cumsum(np.diff(self._weights.starts_V)[counts_BV.indices])]
        )
        most_B = np.diff(ends_N[counts_BV.indptr]).clip(max=self._weights.labels)
        first, found = 0, 0
        for document, most in enumerate(most_B.tolist()):
            if document > first and found + most > MOST_FOUND:
                yield first, document
                first, found = document, 0
            found += most
        yield first, len(most_B)

    def _best(self, counts_BV: sparse.csr_matrix, k: int) -> Candidates:
        labels = self._weights.labels
        if counts_BV.shape[0] > 1 or labels <= MOST_FOUND:
            return _best(_scores(counts_BV, self._bm25_VL, self._share_VL), k)
        parts = [
            self._best_between(counts_BV, first, min(first + MOST_FOUND, labels), k)
            for first in range(0, labels, MOST_FOUND)
        ]
        return merge_top_k(parts, k)

    def _best_between(
        self, counts_1V: sparse.csr_matrix, first: int, end: int, k: int
    ) -> Candidates:
        """Of one document, among the labels from `first` to before `end`."""
        weights, own = self._weights, counts_1V.indices
        spans = [
            start + np.searchsorted(weights.labels_N[start:stop], (first, end))
            for start, stop in zip(weights.starts_V[own], weights.starts_V[own + 1], strict=True)
        ]
        pairs_N = np.concatenate([np.arange(*span) for span in spans] or [np.empty(0, int)])
        starts_W = np.concatenate([[0], np.cumsum([stop - start for start, stop in spans])])
        shape = len(own), end - first
        bm25_WL, share_WL = (
            sparse.csr_matrix(
                (values_N[pairs_N], weights.labels_N[pairs_N] - first, starts_W), shape
            )
            for values_N in (weights.bm25_N, weights.share_N)
        )
        counts_1W = sparse.csr_matrix(
            (counts_1V.data, np.arange(len(own)), [0, len(own)]), (1, len(own))
        )
        ids_1K, scores_1K = _best(_scores(counts_1W, bm25_WL, share_WL), k)
        return np.where(ids_1K == PADDING, PADDING, ids_1K + first), scores_1K

    def save(self, folder: str | Path) -> None:
        """Write one file of plain arrays."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        version = np.array([WORDS_VERSION])
        write_tensors(Path(folder) / FILE, {**self._weights.arrays(), "words_version": version})

    @classmethod
    def load(cls, folder: str | Path) -> LexicalIndex:
        """Map a saved index.

        Raises:
            FileNotFoundError: The folder holds none.
            ValueError: Its file is not what `save` writes; the message names it.
        """
        file = Path(folder) / FILE
        try:
            arrays = open_tensors(file).arrays
            if (version := int(arrays["words_version"][0])) != WORDS_VERSION:
                raise ValueError(f"its words are of version {version}, not {WORDS_VERSION}")
            return cls(Weights.of_arrays(arrays))
        except KeyError as error:
            raise ValueError(f"{file}: holds no {error}") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def _scores(
    counts_BV: sparse.csr_matrix, bm25_VL: sparse.csr_matrix, share_VL: sparse.csr_matrix
) -> sparse.csr_matrix:
    weights_BV, named_BV = counts_BV.copy(), counts_BV.copy()
    weights_BV.data = 1.0 + np.log(weights_BV.data)
    named_BV.data[:] = 1.0
    share_BL, scores_BL = named_BV @ share_VL, weights_BV @ bm25_VL
    if not np.array_equal(share_BL.indices, scores_BL.indices):  # of one pattern, as factors are
        share_BL.sort_indices()
        scores_BL.sort_indices()
    scores_BL.data *= share_BL.data**2
    return scores_BL


def _best(scores_BL: sparse.csr_matrix, k: int) -> Candidates:
    rows = []
    for start, end in pairwise(scores_BL.indptr):
        ids, scores = _foremost(scores_BL.indices[start:end], scores_BL.data[start:end], k)
        rows.append(top_k(ids[None].astype(np.int32), scores[None], k))
    return np.concatenate([ids for ids, _ in rows]), np.concatenate([scores for _, scores in rows])


def _foremost(ids_N: np.ndarray, scores_N: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Those that are as good as the k-th, which is found without a sort of all."""
    scores_N = scores_N.astype(np.float32)
    if len(scores_N) <= k:
        return ids_N, scores_N
    least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
    kept_N = scores_N >= least
    return ids_N[kept_N], scores_N[kept_N]
