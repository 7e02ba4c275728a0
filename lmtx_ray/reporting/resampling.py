"""Ratios over documents with 95 % intervals, many at once over the same resampled documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmtx_ray.evaluation.intervals import wilson
from lmtx_ray.evaluation.metrics import bootstrap_ratios

SEED = 13
SAMPLES = 1000


@dataclass(frozen=True)
class Measured:
    """A share, or a mean, with its 95 % interval."""

    value: float
    low: float
    high: float


def ratios(above_BT: np.ndarray, below_BT: np.ndarray) -> list[Measured | None]:
    """Ratio of sums over documents, and its percentile interval over resampled ones, for each of T
    columns; None where there is nothing below."""
    if not len(above_BT):
        return [None] * above_BT.shape[1]
    found = bootstrap_ratios(above_BT, below_BT, SEED, SAMPLES)
    return [one and Measured(*one) for one in found]


def shares(hits_BT: np.ndarray, counts_BT: np.ndarray) -> list[Measured | None]:
    """The same for shares of counted things. Where all or none are hits, resampling finds no other
    value: the interval is at least as wide as Wilson's of so many independent ones."""
    found = ratios(hits_BT, counts_BT)
    totals_T = counts_BT.sum(axis=0).tolist()
    return [one and _widened(one, total) for one, total in zip(found, totals_T, strict=True)]


def _widened(measured: Measured, count: float) -> Measured:
    low, high = wilson(measured.value * count, count)
    return Measured(measured.value, min(measured.low, low), max(measured.high, high))


def mean(values_B: np.ndarray) -> Measured | None:
    """Mean over documents with its interval."""
    return ratios(values_B[:, None], np.ones((len(values_B), 1)))[0]
