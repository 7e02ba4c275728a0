"""Ratios over documents with 95 % intervals, many at once over the same resampled documents."""

from __future__ import annotations

import numpy as np

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.evaluation.metrics import bootstrap_ratios

SEED = 13
SAMPLES = 1000


def ratios(above_BT: np.ndarray, below_BT: np.ndarray) -> list[Measured | None]:
    """Ratio of sums over documents, and its percentile interval over resampled ones, for each of T
    columns; None where there is nothing below."""
    if not len(above_BT):
        return [None] * above_BT.shape[1]
    return bootstrap_ratios(above_BT, below_BT, SEED, SAMPLES)


def shares(hits_BT: np.ndarray, counts_BT: np.ndarray) -> list[Measured | None]:
    """The same for shares of counted things. Where all or none are hits, resampling finds no other
    value: the interval is at least as wide as Wilson's of so many independent ones."""
    found = ratios(hits_BT, counts_BT)
    totals_T = counts_BT.sum(axis=0).tolist()
    return [one and one.widened(total) for one, total in zip(found, totals_T, strict=True)]


def mean(values_B: np.ndarray) -> Measured | None:
    """Mean over documents with its interval."""
    return ratios(values_B[:, None], np.ones((len(values_B), 1)))[0]
