"""Scores to probabilities by logistic regression on one variable (Platt 1999), soft targets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope * (score - centre) / scale + intercept)."""

    slope: float = 1.0
    intercept: float = 0.0
    centre: float = 0.0
    scale: float = 1.0

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities, float32, of the same shape."""
        logits = self.slope * (np.asarray(scores, np.float64) - self.centre) / self.scale
        return (1.0 / (1.0 + np.exp(-(logits + self.intercept)))).astype(np.float32)

    def to_dict(self) -> dict[str, float]:
        """As it is kept in a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """What `to_dict` gave. TypeError where a number is missing or unknown."""
        return cls(**{name: float(value) for name, value in values.items()})


def fit(scores: np.ndarray, targets: np.ndarray, steps: int = 50) -> Calibration:
    """Newton's method with a small ridge, so that few or separable pairs stay finite.

    Args:
        scores: [N] any scale.
        targets: [N] in [0, 1], the judge's P(yes).

    Without pairs, or with one distinct score, the probability is the mean target everywhere.
    """
    if len(scores) == 0:
        return Calibration(slope=0.0)
    centre, scale = float(np.mean(scores)), float(np.std(scores)) or 1.0
    design = np.stack([(scores - centre) / scale, np.ones(len(scores))], axis=1)
    weights = np.zeros(2)
    ridge = np.diag([1e-3, 1e-6])
    for _ in range(steps):
        probabilities = 1.0 / (1.0 + np.exp(-(design @ weights)))
        gradient = design.T @ (probabilities - targets) + ridge @ weights
        curvature = probabilities * (1.0 - probabilities) + 1e-9
        change = np.linalg.solve((design.T * curvature) @ design + ridge, gradient)
        weights -= np.clip(change, -5.0, 5.0)
        if np.abs(change).max() < 1e-10:
            break
    return Calibration(float(weights[0]), float(weights[1]), centre, scale)
