"""Learned fusion: the candidates of all sides in the order of the probability they are given.

The weights are fitted on what the judge said of held-aside documents, so what each side is worth is
not a constant but what it turned out to be on this label set. A judge has favourite labels, and
without more the weights would learn to please it. So a label's history, how often it is accepted
when it is asked about, is in the fit, where it takes up that leaning, and counts only in part in
the order. Shapes: B documents, K candidates of one, N of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmtx_ray.evaluation.calibration import Calibration, fit
from lmtx_ray.evaluation.pair_features import (
    LEARNED,
    List,
    as_columns,
    dense_features,
    lexical_features,
    of_one,
    vote_features,
)
from lmtx_ray.search.candidates import PADDING, Candidates, as_lists

FOLDS = 5
ONLY = np.zeros(1, np.int64)
HISTORY = 0.25  # of its fitted weight that counts in the order
Histories = Callable[[np.ndarray], np.ndarray]
Verdicts = Mapping[tuple[str, int], float]  # (doc_id, label_id) -> P(yes)


@dataclass(frozen=True)
class Sides:
    """What each side found for B documents: labels int32 [B, M] and scores, best first, padded."""

    dense: Candidates
    lexical: Candidates
    votes: Candidates

    def candidates(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """(document int64 [N], label int32 [N]) of all labels of the sides, each once."""
        ids_BM = np.concatenate(
            [ids[:, :depth] for ids, _ in (self.dense, self.lexical, self.votes)], axis=1
        )
        rows_M, places_M = np.nonzero(ids_BM != PADDING)
        keys_N = np.unique(rows_M << 32 | ids_BM[rows_M, places_M].astype(np.int64))
        return keys_N >> 32, (keys_N & 0xFFFFFFFF).astype(np.int32)

    def features(
        self, rows_N: np.ndarray, ids_N: np.ndarray, histories: Histories, depth: int
    ) -> np.ndarray:
        """LEARNED of these candidates, float64 [N, F]."""
        values = dense_features(self.dense, rows_N, ids_N, depth)
        values |= lexical_features(self.lexical, rows_N, ids_N, depth)
        values |= vote_features(self.votes, rows_N, ids_N, histories(ids_N))
        return as_columns(values, LEARNED)


def weighed(
    sides: Sides,
    combiners: Sequence[Calibration],
    which_B: np.ndarray,
    histories: Histories,
    depth: int,
    most: int | None = None,
) -> Candidates:
    """The likeliest candidates of each document by that of the `combiners` which is its own, `most`
    of them (`depth` if None): int32 ids and float32 log-odds, padded, best first. Of each side the
    first `depth` count. What else is in a call changes nothing."""
    rows_N, ids_N = sides.candidates(depth)
    features_NF = sides.features(rows_N, ids_N, histories, depth)
    scores_N = np.zeros(len(ids_N), np.float32)
    for number in np.unique(which_B):
        own_N = which_B[rows_N] == number
        scores_N[own_N] = combiners[number].log_odds(features_NF[own_N])
    order = np.lexsort((ids_N, -scores_N, rows_N))
    return as_lists(rows_N[order], ids_N[order], scores_N[order], (len(which_B), most or depth))


@dataclass(frozen=True)
class SideLists:
    """What each side found for one document, best first."""

    dense: List
    lexical: List
    votes: List

    @property
    def sides(self) -> Sides:
        """The same as that of one document of several."""
        return Sides(*(of_one(side) for side in (self.dense, self.lexical, self.votes)))

    def candidates(self, depth: int) -> np.ndarray:
        """All labels of the sides, each once, int32 [K]."""
        return self.sides.candidates(depth)[1]

    def features(self, ids_K: np.ndarray, histories: Histories, depth: int) -> np.ndarray:
        """LEARNED of these candidates, float64 [K, F]."""
        return self.sides.features(np.zeros(len(ids_K), np.int64), ids_K, histories, depth)


def combined(
    sides: SideLists,
    combiner: Calibration,
    histories: Histories,
    depth: int,
    most: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`weighed` of one document."""
    found, scores = weighed(sides.sides, [combiner], ONLY, histories, depth, most)
    return found[0], scores[0]


@dataclass(frozen=True)
class Combiners:
    """`whole` is fitted on all held-aside documents, and each of `folds` without those of its fold:
    what a held-aside document is ranked by, so that its own verdicts say nothing of it."""

    whole: Calibration
    folds: tuple[Calibration, ...]

    @property
    def every(self) -> tuple[Calibration, ...]:
        """All of them."""
        return self.whole, *self.folds

    def number(self, doc_id: str, held_aside: bool) -> int:
        """The place among `every` of the one that a document is ranked by."""
        return 1 + fold_of(doc_id) if held_aside else 0

    def of(self, doc_id: str, held_aside: bool) -> Calibration:
        """The one that a document is ranked by."""
        return self.every[self.number(doc_id, held_aside)]

    def to_dict(self) -> dict[str, Any]:
        """As it is kept in a file."""
        return {"whole": self.whole.to_dict(), "folds": [one.to_dict() for one in self.folds]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Combiners:
        """What `to_dict` gave."""
        folds = tuple(Calibration.from_dict(one) for one in values["folds"])
        return cls(Calibration.from_dict(values["whole"]), folds)


def fold_of(doc_id: str) -> int:
    """A held-aside document's fold."""
    return hashlib.blake2b(doc_id.encode(), digest_size=4, person=b"fold").digest()[0] % FOLDS


def fit_combiners(
    documents: Sequence[tuple[str, SideLists]],
    verdicts: Verdicts,
    histories: Histories,
    depth: int,
) -> Combiners:
    """Fitted on all candidates of held-aside documents that were judged; soft targets. A history
    counts in part, see above."""
    features, targets, folds = [], [], []
    for doc_id, sides in documents:
        ids_K = sides.candidates(depth)
        p_yes_K = np.array([verdicts.get((doc_id, label), np.nan) for label in ids_K.tolist()])
        judged_K = ~np.isnan(p_yes_K)
        features.append(sides.features(ids_K[judged_K], histories, depth))
        targets.append(p_yes_K[judged_K])
        folds.append(np.full(int(judged_K.sum()), fold_of(doc_id)))
    features_NF = np.concatenate(features) if features else np.zeros((0, len(LEARNED)))
    targets_N = np.concatenate(targets) if targets else np.zeros(0)
    folds_N = np.concatenate(folds) if folds else np.zeros(0, int)
    whole, kept = _fitted(features_NF, targets_N), [folds_N != fold for fold in range(FOLDS)]
    each = [  # where all pairs are of one fold, nothing is left to fit it on
        _fitted(features_NF[kept_N], targets_N[kept_N]) if kept_N.any() else whole
        for kept_N in kept
    ]
    return Combiners(whole, tuple(each))


def _fitted(features_NF: np.ndarray, targets_N: np.ndarray) -> Calibration:
    whole = fit(features_NF, targets_N, LEARNED)
    weights = [
        weight * HISTORY if name == "history" else weight
        for name, weight in zip(LEARNED, whole.weights, strict=True)
    ]
    return replace(whole, weights=tuple(weights))
