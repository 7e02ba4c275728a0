"""Ranking metrics of extreme classification, per document, and bootstrap intervals.

Shapes: B documents, K predictions, L labels. Predictions are label ids, best first, padded with
-1; a missing prediction counts as wrong. Definitions follow pyxclib (nDCG is normalised by
min(k, number of true labels)) and Jain et al. 2016 for propensities.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import numpy as np

from lmtx_ray.evaluation.intervals import Measured

Truth = Sequence[Collection[int]]
MOST_WEIGHTS = 1 << 22  # of resampled documents at a time: 32 MiB


def hits_at_k(predictions_BK: np.ndarray, truth: Truth, k: int) -> np.ndarray:
    """Boolean [B, k]: whether each of the first k predictions is true."""
    hits = np.zeros((len(truth), k), dtype=bool)
    firsts = predictions_BK[:, :k].tolist()
    for row, (first, labels) in enumerate(zip(firsts, truth, strict=True)):
        true = frozenset(labels)
        hits[row, : len(first)] = [label >= 0 and label in true for label in first]
    return hits


def _sizes(truth: Truth) -> np.ndarray:
    return np.array([len(labels) for labels in truth], dtype=np.float64)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below in float64, 0 where there is nothing below."""
    ratios = np.zeros_like(above, dtype=np.float64)
    np.divide(above, below, out=ratios, where=below > 0)
    return ratios


def precision_at_k(predictions_BK: np.ndarray, truth: Truth, k: int) -> np.ndarray:
    """P@k per document: hits / k, also when a document has fewer than k true labels."""
    found_B: np.ndarray = hits_at_k(predictions_BK, truth, k).sum(axis=1)
    return found_B / k


def recall_at_k(predictions_BK: np.ndarray, truth: Truth, k: int) -> np.ndarray:
    """R@k per document: hits / true labels; 0 for a document without any."""
    return ratio(hits_at_k(predictions_BK, truth, k).sum(axis=1), _sizes(truth))


def r_precision_at_k(predictions_BK: np.ndarray, truth: Truth, k: int) -> np.ndarray:
    """RP@k per document: hits / min(k, true labels)."""
    return ratio(hits_at_k(predictions_BK, truth, k).sum(axis=1), np.minimum(_sizes(truth), k))


def ndcg_at_k(predictions_BK: np.ndarray, truth: Truth, k: int) -> np.ndarray:
    """nDCG@k per document, with the ideal over min(k, true labels) places."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideals = np.concatenate([[0.0], np.cumsum(discounts)])
    gained = hits_at_k(predictions_BK, truth, k) @ discounts
    return ratio(gained, ideals[np.minimum(_sizes(truth), k).astype(int)])


def inverse_propensity(counts_L: np.ndarray, documents: int, a: float, b: float) -> np.ndarray:
    """q_l = 1 + C (N_l + b)^-a with C = (ln N - 1)(b + 1)^a (Jain et al. 2016, eq. 3)."""
    scale = (np.log(documents) - 1.0) * (b + 1.0) ** a
    weights_L: np.ndarray = 1.0 + scale * (counts_L + b) ** -a
    return weights_L


def psp_at_k(
    predictions_BK: np.ndarray, truth: Truth, k: int, inverse_propensity_L: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-document numerators and denominators of PSP@k.

    PSP@k is the ratio of their sums over documents, not the mean of ratios.
    """
    padded = np.full((len(truth), k), -1)
    padded[:, : predictions_BK.shape[1]] = predictions_BK[:, :k]
    hits = hits_at_k(padded, truth, k)
    gained = np.where(hits, inverse_propensity_L[padded], 0.0).sum(axis=1) / k
    best = [np.sort(inverse_propensity_L[list(labels)])[::-1][:k].sum() / k for labels in truth]
    return gained, np.array(best, dtype=np.float64)


def bootstrap_mean(values_B: np.ndarray, seed: int, samples: int = 2000) -> Measured:
    """Mean and its 95 % percentile interval over resampled documents."""
    return bootstrap_ratio(values_B, np.ones(len(values_B)), seed, samples)


def bootstrap_ratio(
    above_B: np.ndarray, below_B: np.ndarray, seed: int, samples: int = 2000
) -> Measured:
    """Ratio of two sums over documents and its 95 % percentile interval over resampled ones."""
    (found,) = bootstrap_ratios(above_B[:, None], below_B[:, None], seed, samples)
    return found or Measured(float("nan"), float("nan"), float("nan"))


def bootstrap_ratios(
    above_BC: np.ndarray, below_BC: np.ndarray, seed: int, samples: int = 2000
) -> list[Measured | None]:
    """`bootstrap_ratio` of each of C columns, over the same resampled documents; None where there
    is nothing below. Raises ValueError without documents."""
    if len(above_BC) == 0:
        raise ValueError("bootstrap needs at least one document")
    ratios_SC = np.concatenate(list(_resampled(above_BC, below_BC, seed, samples)))
    found: list[Measured | None] = []
    for above, below, ratios_S in zip(
        above_BC.sum(axis=0), below_BC.sum(axis=0), ratios_SC.T, strict=True
    ):
        if below == 0:
            found.append(None)
            continue
        low, high = np.nanpercentile(ratios_S, [2.5, 97.5])
        found.append(Measured(float(above / below), float(low), float(high)))
    return found


def _resampled(
    above_BC: np.ndarray, below_BC: np.ndarray, seed: int, samples: int
) -> Iterator[np.ndarray]:
    """Ratios [some samples, C] of resampled documents; nan where none of them has one below."""
    documents = len(above_BC)
    few = samples * documents <= MOST_WEIGHTS
    drawn = [_drawn_once(documents, seed, samples)] if few else _drawn(documents, seed, samples)
    for weights_SB in drawn:
        above_SC, below_SC = weights_SB @ above_BC, weights_SB @ below_BC
        ratios_SC = np.full(above_SC.shape, np.nan)
        np.divide(above_SC, below_SC, out=ratios_SC, where=below_SC > 0)
        yield ratios_SC


def _drawn(documents: int, seed: int, samples: int) -> Iterator[np.ndarray]:
    """How often each document is in each of some samples: float64 [at most S, B]."""
    generator, share_B = np.random.default_rng(seed), np.full(documents, 1 / documents)
    at_once = max(MOST_WEIGHTS // documents, 1)
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        yield generator.multinomial(documents, share_B, size=size).astype(np.float64)


@lru_cache(maxsize=1)
def _drawn_once(documents: int, seed: int, samples: int) -> np.ndarray:
    """Few samples, kept: one metric after the other is resampled alike."""
    (weights_SB,) = _drawn(documents, seed, samples)
    return weights_SB


def bootstrap_difference(
    a_B: np.ndarray, b_B: np.ndarray, seed: int, samples: int = 2000
) -> Measured:
    """Mean of a - b over the same documents and its 95 % paired interval."""
    if len(a_B) != len(b_B):
        raise ValueError(f"paired values needed, got {len(a_B)} and {len(b_B)}")
    return bootstrap_mean(np.asarray(a_B, float) - np.asarray(b_B, float), seed, samples)
