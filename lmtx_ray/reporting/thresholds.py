"""What a least probability does to precision, recall and the number of tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.reporting.pairs import Pairs
from lmtx_ray.reporting.resampling import shares

STEPS = tuple(round(0.05 * n, 2) for n in range(20))
MOST_POINTS = 80
LEAST_TAGS = 30  # to say what their precision is


@dataclass(frozen=True)
class AtThreshold:
    """Tags of at least `threshold`. `precision` is None where there is no tag, `recall` where the
    right labels of the documents are not known."""

    threshold: float
    tags: int
    per_document: float
    precision: Measured | None
    recall: Measured | None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        if self.precision is None or self.recall is None:
            return None
        both = self.precision.value + self.recall.value
        return 2 * self.precision.value * self.recall.value / both if both else 0.0


def at_thresholds(
    pairs: Pairs, limit: int, thresholds: tuple[float, ...] = STEPS
) -> list[AtThreshold]:
    """For at most `limit` tags a document; without stated probabilities only the one for 0."""
    pairs = pairs.first(limit)
    stated = not np.isnan(pairs.p_N).any()
    thresholds = thresholds if stated else thresholds[:1]
    kept = [pairs.p_N >= t if stated else np.ones(len(pairs.p_N), bool) for t in thresholds]
    counts_BT = np.stack([pairs.per_document(k.astype(float)) for k in kept], axis=1)
    hits_BT = np.stack([pairs.per_document(k * pairs.true_N) for k in kept], axis=1)
    precisions = shares(hits_BT, counts_BT)
    recalls: list[Measured | None] = [None] * len(kept)
    if pairs.wanted_B is not None:
        recalls = shares(hits_BT, np.repeat(pairs.wanted_B[:, None], len(kept), axis=1))
    tags_T = counts_BT.sum(axis=0).astype(int).tolist()
    rows = zip(thresholds, tags_T, precisions, recalls, strict=True)
    documents = max(pairs.documents, 1)
    return [AtThreshold(t, n, n / documents, p, r) for t, n, p, r in rows]


def for_precision(rows: Sequence[AtThreshold], wanted: float, certain: bool) -> AtThreshold | None:
    """The lowest threshold from which on the precision is at least `wanted`, as far as enough tags
    are left to say so; None where there is none. `certain`: the lower end of its interval is."""
    found = None
    for row in reversed([row for row in rows if row.tags >= LEAST_TAGS]):
        assert row.precision is not None
        if (row.precision.low if certain else row.precision.value) < wanted:
            break
        found = row
    return found


def curve(pairs: Pairs, limit: int) -> list[tuple[float, float]]:
    """(recall, precision) from the surest tag to all; empty where either is not known."""
    pairs = pairs.first(limit)
    if pairs.wanted_B is None or np.isnan(pairs.p_N).any() or not len(pairs.p_N):
        return []
    order = np.argsort(-pairs.p_N, kind="stable")
    p_N, hits_N = pairs.p_N[order], np.cumsum(pairs.true_N[order])
    last = np.append(np.flatnonzero(np.diff(p_N)), len(p_N) - 1)  # equal ones come together
    last = last[last >= min(LEAST_TAGS - 1, len(p_N) - 1)]  # of fewer tags a precision says nothing
    if len(last) > MOST_POINTS:
        last = last[np.unique(np.linspace(0, len(last) - 1, MOST_POINTS).astype(int))]
    wanted = max(float(pairs.wanted_B.sum()), 1.0)
    return [(float(hits_N[n] / wanted), float(hits_N[n] / (n + 1))) for n in last]
