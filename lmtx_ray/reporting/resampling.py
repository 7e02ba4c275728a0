"""Ratios over documents with 95 % intervals, many at once over the same resampled documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEED = 13
SAMPLES = 1000
MOST_WEIGHTS = 1 << 22  # of resampled documents at a time: 32 MiB


@dataclass(frozen=True)
class Measured:
    """A share, or a mean, with its 95 % interval."""

    value: float
    low: float
    high: float


def ratios(above_BT: np.ndarray, below_BT: np.ndarray) -> list[Measured | None]:
    """Ratio of sums over documents, and its percentile interval over resampled ones, for each of T
    columns; None where there is nothing below."""
    documents, columns = above_BT.shape
    above_T, below_T = above_BT.sum(axis=0), below_BT.sum(axis=0)
    if not documents:
        return [None] * columns
    drawn_ST = np.concatenate(list(_drawn(above_BT, below_BT)))
    found: list[Measured | None] = []
    for place in range(columns):
        drawn_S = drawn_ST[:, place][~np.isnan(drawn_ST[:, place])]
        if below_T[place] == 0 or not len(drawn_S):
            found.append(None)
            continue
        low, high = np.percentile(drawn_S, [2.5, 97.5])
        found.append(Measured(float(above_T[place] / below_T[place]), float(low), float(high)))
    return found


def shares(hits_BT: np.ndarray, counts_BT: np.ndarray) -> list[Measured | None]:
    """The same for shares of counted things. Where all or none are hits, resampling finds no other
    value: the interval is at least as wide as Wilson's of so many independent ones."""
    found = ratios(hits_BT, counts_BT)
    totals_T = counts_BT.sum(axis=0).tolist()
    return [one and _widened(one, total) for one, total in zip(found, totals_T, strict=True)]


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` independent things."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return float(middle - half), float(middle + half)


def _widened(measured: Measured, count: float) -> Measured:
    low, high = wilson(measured.value, count)
    return Measured(measured.value, min(measured.low, low), min(max(measured.high, high), 1.0))


def _drawn(above_BT: np.ndarray, below_BT: np.ndarray) -> list[np.ndarray]:
    """Ratios [S, T] of resampled documents, in parts; nan where a draw has nothing below."""
    documents = len(above_BT)
    generator = np.random.default_rng(SEED)
    at_once = max(min(MOST_WEIGHTS // documents, SAMPLES), 1)
    sizes = [min(at_once, SAMPLES - start) for start in range(0, SAMPLES, at_once)]
    share_B = np.full(documents, 1 / documents)
    parts = []
    for size in sizes:
        weights_SB = generator.multinomial(documents, share_B, size=size).astype(np.float64)
        below_ST = weights_SB @ below_BT
        out = np.full_like(below_ST, np.nan)
        parts.append(np.divide(weights_SB @ above_BT, below_ST, out=out, where=below_ST > 0))
    return parts


def mean(values_B: np.ndarray) -> Measured | None:
    """Mean over documents with its interval."""
    return ratios(values_B[:, None], np.ones((len(values_B), 1)))[0]
