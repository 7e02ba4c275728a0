"""Whether a stated probability means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.reporting.pairs import Pairs
from lmtx_ray.reporting.resampling import shares

BINS = 10
LEAST = 10  # pairs of a bin, to be shown


@dataclass(frozen=True)
class Bin:
    """Pairs of about one stated probability: its mean, and the share that is right."""

    stated: float
    observed: Measured
    pairs: int


@dataclass(frozen=True)
class Reliability:
    """`error` is the mean distance between stated and observed, weighted by pairs (ECE); `distinct`
    how many different probabilities the first tags have, and `largest` the largest."""

    bins: tuple[Bin, ...]
    error: float
    pairs: int
    distinct: int
    largest: float


def reliability(pairs: Pairs, limit: int) -> Reliability | None:
    """Of the first `limit` tags; None where no probability is stated, or nothing is judged."""
    first_p = pairs.p_N[pairs.rank_N == 0]
    pairs = pairs.first(limit)
    if not len(pairs.p_N) or np.isnan(pairs.p_N).any():
        return None
    bin_N = np.minimum((pairs.p_N * BINS).astype(int), BINS - 1)
    inside = [(bin_N == place).astype(float) for place in range(BINS)]
    counts_BT = np.stack([pairs.per_document(own) for own in inside], axis=1)
    hits_BT = np.stack([pairs.per_document(own * pairs.true_N) for own in inside], axis=1)
    bins, error = [], 0.0
    for own, observed in zip(inside, shares(hits_BT, counts_BT), strict=True):
        if observed is None:
            continue
        stated, size = float((pairs.p_N * own).sum() / own.sum()), int(own.sum())
        error += size * abs(stated - observed.value) / len(pairs.p_N)
        bins += [Bin(stated, observed, size)] if size >= LEAST else []
    distinct = len(np.unique(np.round(first_p, 4)))
    return Reliability(tuple(bins), error, len(pairs.p_N), distinct, float(first_p.max()))
