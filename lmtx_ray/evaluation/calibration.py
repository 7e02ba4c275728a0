"""From what is known of a pair to the probability that its label is right.

A regularised logistic regression on the features of `pair_features`, with soft targets. What is
evidence for a label never lowers its probability: the weights of such features are not negative.
Shapes: N pairs, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lmtx_ray.evaluation.pair_features import NAMES, Known, pair_features
from lmtx_ray.search.candidates import PADDING

RIDGE = 1.0  # of a weight on a standardised feature: what that many pairs say counts as much
ROUNDS, SWEEPS, HALVINGS = 100, 200, 30
CLOSE = 1e-10
TINY = 1e-4  # a judge that is surer is taken to be as sure as this
NO_LABEL = -2  # neither an id nor padding
MOST_LOG_ODDS = 30.0  # where exp stays finite and float32 still tells a probability from 1


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(intercept + sum of weight * (value - centre) / scale), a weight, centre
    and scale for each of `features`."""

    features: tuple[str, ...] = ("score",)
    weights: tuple[float, ...] = (1.0,)
    centres: tuple[float, ...] = (0.0,)
    scales: tuple[float, ...] = (1.0,)
    intercept: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError where a feature is unknown, lacks a number or has one too many."""
        if unknown := sorted(set(self.features) - set(NAMES)):
            raise ValueError(f"unknown feature {unknown[0]!r}; known: {', '.join(NAMES)}")
        if {len(self.weights), len(self.centres), len(self.scales)} != {len(self.features)}:
            raise ValueError("a calibration needs weight, centre and scale of each feature")

    def log_odds(self, features_NF: np.ndarray) -> np.ndarray:
        """float64 [N].

        Summed feature by feature: a matrix product may round differently in other company.
        """
        log_odds_N = np.full(len(features_NF), self.intercept)
        parts = zip(features_NF.T, self.weights, self.centres, self.scales, strict=True)
        for values_N, weight, centre, scale in parts:
            log_odds_N += weight * ((values_N - centre) / scale)
        return log_odds_N

    def apply(self, features_NF: np.ndarray) -> np.ndarray:
        """Probabilities, float32 [N]."""
        return sigmoid(self.log_odds(features_NF)).astype(np.float32)

    def of(self, known: Known) -> np.ndarray:
        """Probabilities of a document's candidates, float32 [K]."""
        return self.apply(pair_features(known, self.features))

    def of_labels(self, known: Known, ids_K: np.ndarray) -> np.ndarray:
        """Probabilities of any labels of a document whose candidates are known, float32 [K]: a
        candidate's own, and of any other label that of one that stands behind the last of each
        list, which is the most it may have. Padding has some probability too."""
        ids_M, scores_M = (values_M[known.ranked[0] != PADDING] for values_M in known.ranked)
        least = scores_M[-1:] if len(scores_M) else np.zeros(1, np.float32)
        behind = np.append(ids_M, NO_LABEL), np.append(scores_M, least)
        values_M1 = self.of(replace(known, ranked=behind))
        order_M = np.argsort(ids_M, kind="stable")
        place_K = np.searchsorted(ids_M, ids_K, sorter=order_M)
        at_K = np.append(order_M, len(ids_M))[place_K]
        return np.where(behind[0][at_K] == ids_K, values_M1[at_K], values_M1[-1])

    def to_dict(self) -> dict[str, Any]:
        """As it is kept in a file."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """What `to_dict` gave.

        Raises:
            TypeError: A number is missing or unknown.
            ValueError: See the class.
        """
        lists: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        return cls(**lists)


def log_odds(probabilities_N: np.ndarray) -> np.ndarray:
    """Of probabilities, finite at 0 and 1 too."""
    clipped_N = np.clip(probabilities_N, TINY, 1.0 - TINY)
    odds_N: np.ndarray = np.log(clipped_N) - np.log1p(-clipped_N)
    return odds_N


def sigmoid(log_odds_N: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds."""
    clipped_N = np.clip(log_odds_N, -MOST_LOG_ODDS, MOST_LOG_ODDS)
    probabilities_N: np.ndarray = 1.0 / (1.0 + np.exp(-clipped_N))
    return probabilities_N


def fit(
    features_NF: np.ndarray,
    targets_N: np.ndarray,
    names: Sequence[str],
    ridge: float = RIDGE,
) -> Calibration:
    """The calibration that fits pairs best.

    Args:
        targets_N: in [0, 1], how likely the label is right.
        names: One a feature.
        ridge: How strongly weights are drawn to 0.

    Without pairs the probability is one half everywhere; where all pairs are equal it is their mean
    target.
    """
    if len(targets_N) == 0:
        nothing = (0.0,) * len(names)
        return Calibration(tuple(names), nothing, nothing, (1.0,) * len(names))
    centres_F, spread_F = features_NF.mean(axis=0), features_NF.std(axis=0)
    scales_F = np.where(spread_F > 1e-12, spread_F, 1.0)
    design = np.column_stack([(features_NF - centres_F) / scales_F, np.ones(len(targets_N))])
    least = np.array([0.0] * len(names) + [-np.inf])
    penalties = np.array([ridge] * len(names) + [1e-6])
    weights = minimise(design, np.asarray(targets_N, np.float64), penalties, least)
    *own, intercept = weights.tolist()
    return Calibration(
        tuple(names), tuple(own), tuple(centres_F.tolist()), tuple(scales_F.tolist()), intercept
    )


def minimise(
    design: np.ndarray,
    targets_N: np.ndarray,
    penalties: np.ndarray,
    least: np.ndarray,
    towards: np.ndarray | None = None,
) -> np.ndarray:
    """Weights of least log loss plus half of `penalties` times their squared distance from
    `towards` (0), none below `least`: Newton's method, halving steps that do not help."""
    towards = np.zeros(design.shape[1]) if towards is None else towards
    weights: np.ndarray = np.maximum(towards, least)

    def loss(at: np.ndarray) -> float:
        log_odds_N = design @ at
        losses_N = np.logaddexp(0.0, log_odds_N) - targets_N * log_odds_N
        return float(losses_N.sum() + 0.5 * (penalties * (at - towards) ** 2).sum())

    now = loss(weights)
    for _ in range(ROUNDS):
        wanted = _newton(design, targets_N, penalties, least, weights, towards)
        step, before = wanted - weights, now
        for _ in range(HALVINGS):
            if (now := loss(weights + step)) <= before:
                break
            step = step / 2
        else:
            return weights
        weights = weights + step
        if np.abs(step).max() < CLOSE:
            break
    return weights


def _newton(
    design: np.ndarray,
    targets_N: np.ndarray,
    penalties: np.ndarray,
    least: np.ndarray,
    weights: np.ndarray,
    towards: np.ndarray,
) -> np.ndarray:
    """Where the quadratic that touches the loss at `weights` is least, within the bounds: one
    weight after the other until none moves."""
    probabilities_N = sigmoid(design @ weights)
    gradient = design.T @ (probabilities_N - targets_N) + penalties * (weights - towards)
    curvature_N = probabilities_N * (1.0 - probabilities_N) + 1e-9
    bend = (design.T * curvature_N) @ design + np.diag(penalties)
    moved = weights.copy()
    for _ in range(SWEEPS):
        before = moved.copy()
        for place in range(len(moved)):
            slope = gradient[place] + bend[place] @ (moved - weights)
            moved[place] = max(moved[place] - slope / bend[place, place], least[place])
        if np.abs(moved - before).max() < CLOSE:
            break
    return moved
