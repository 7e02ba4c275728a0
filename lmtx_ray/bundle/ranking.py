"""The ranking that counts: the dense one, or it fused with the lexical side, or all sides weighed.

Shapes: B documents, D dimensions, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmtx_ray.bundle.searching import Search, Selections, search_each
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.combining import Sides, weighed
from lmtx_ray.evaluation.pair_features import Known
from lmtx_ray.search.candidates import PADDING, Candidates, reciprocal_rank_fusion
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.memory import VOTED, Memory


@dataclass(frozen=True)
class Ranked:
    """What was found for B documents: the ranking that counts, and what it was made from.

    `selections` are the labels that each was to have, and `among_all` what was found for the same
    documents without: what a label's probability is read from (None: from here).
    """

    ids_BK: np.ndarray
    scores_BK: np.ndarray
    dense: Candidates
    lexical: Candidates | None
    selections: Selections | None = None
    among_all: Ranked | None = None

    def known(self, place: int, depth: int) -> Known:
        """What there is on the document at `place`."""
        lexical = self.lexical and (self.lexical[0][place], self.lexical[1][place])
        dense = self.dense[0][place], self.dense[1][place]
        return Known((self.ids_BK[place], self.scores_BK[place]), dense, lexical, depth)

    def probabilities(self, fitted: Calibration, place: int, depth: int) -> np.ndarray:
        """Of the candidates of the document at `place`, float32 [K]. A filter changes none: a label
        has the one that it has among all labels."""
        if self.among_all is None or self.is_whole(place):
            return fitted.of(self.known(place, depth))
        return fitted.of_labels(self.among_all.known(place, depth), self.ids_BK[place])

    def is_whole(self, place: int) -> bool:
        """Whether all labels were allowed to the document at `place`."""
        return self.selections is None or self.selections[place] is None

    def is_empty(self, place: int) -> bool:
        """Whether no label was."""
        selection = None if self.selections is None else self.selections[place]
        return selection is not None and not len(selection)


@dataclass(frozen=True)
class Ranker:
    """Ranks what a dense search found, by what else a bundle holds. `depth` counts of each list."""

    lexical: LexicalIndex | None
    fusion: Mapping[str, Any]
    combiner: Calibration | None
    memory: Memory | None
    depth: int

    def rank(
        self,
        documents: Sequence[str],
        vectors_BD: np.ndarray,
        dense: Candidates,
        selections: Selections | None = None,
        dense_among_all: Candidates | None = None,
    ) -> Ranked:
        """The ranking of documents, of each among the labels of its selection, which those of
        `dense` are of already; `dense_among_all` are those of no selection."""
        ranked = self._ranked(documents, vectors_BD, dense, selections or [None] * len(documents))
        if dense_among_all is None:
            return replace(ranked, selections=selections)
        among_all = self._ranked(documents, vectors_BD, dense_among_all, [None] * len(documents))
        return replace(ranked, selections=selections, among_all=among_all)

    def _ranked(
        self,
        documents: Sequence[str],
        vectors_BD: np.ndarray,
        dense: Candidates,
        selections: Selections,
    ) -> Ranked:
        if self.lexical is None:
            return Ranked(*dense, dense, None)
        depth = dense[0].shape[1]
        lexical = self._lexical(documents, selections, depth)
        if self.combiner and self.memory and len(documents):
            sides = Sides(dense, lexical, self._votes(vectors_BD, selections))
            which_B, histories = np.zeros(len(documents), np.int64), self.memory.histories
            found = weighed(sides, [self.combiner], which_B, histories, self.depth, depth)
            return Ranked(*found, dense, lexical)
        return Ranked(*self._fused([dense[0], lexical[0]], depth), dense, lexical)

    def _fused(self, lists: Sequence[np.ndarray], most: int) -> Candidates:
        """The first `depth` of each list fused, and behind them, where more are asked for, what
        stands further down: so that more tags change none of the first ones."""
        ids_BK, scores_BK = self._by_rank([ids[:, : self.depth] for ids in lists], most)
        if most <= self.depth:
            return ids_BK, scores_BK
        for row, more in enumerate(zip(*self._by_rank(lists, most), strict=True)):
            count = int((ids_BK[row] != PADDING).sum())
            new = ~np.isin(more[0], [PADDING, *ids_BK[row, :count]])
            ids, scores = (values[new][: most - count] for values in more)
            end = count + len(ids)
            ids_BK[row, count:end] = ids
            scores_BK[row, count:end] = np.minimum(scores, scores_BK[row, :count].min(initial=1.0))
        return ids_BK, scores_BK

    def _by_rank(self, lists: Sequence[np.ndarray], most: int) -> Candidates:
        weights = [self.fusion["dense"], self.fusion["lexical"]]
        constant = self.fusion["constant"]
        return reciprocal_rank_fusion(lists, most, weights=weights, constant=constant)

    def _lexical(self, documents: Sequence[str], selections: Selections, depth: int) -> Candidates:
        index = self.lexical
        assert index is not None

        def search(asked: Search) -> Candidates:
            allowed_L = None if asked.selection is None else asked.selection.mask_L
            return index.search([documents[n] for n in asked.places], asked.k, allowed_L)

        return search_each(search, selections, depth)

    def _votes(self, vectors_BD: np.ndarray, selections: Selections) -> Candidates:
        memory = self.memory
        assert memory is not None

        def search(asked: Search) -> Candidates:
            return memory.search(vectors_BD[asked.places], asked.k, selection=asked.selection)

        return search_each(search, selections, VOTED)
