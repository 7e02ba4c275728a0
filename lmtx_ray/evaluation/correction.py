"""What reviewed pairs change: the judge's own error, and then the probabilities themselves.

First, how often the judge is right where it says so: a logistic regression of what people said on
its log-odds and on the student's, drawn to "as it says". Then the calibration's own weights, drawn
to those that it had. So a few reviews move little, and many move all of it: with a hundred, such
probabilities are as good as those of a good judge, even where it is a bad one
(`benchmarks/calibration.py`). Shapes: N pairs, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lmtx_ray.evaluation.calibration import Calibration, log_odds, minimise, sigmoid

PENALTIES = np.array([3.0, 3.0, 0.5])  # of trust in the judge, in the student, of the shift
HOLD = 5.0  # of the weights and the intercept to what they were without reviews


@dataclass(frozen=True)
class Correction:
    """P(right) = sigmoid(judge * its log-odds + student * the student's + shift)."""

    judge: float = 1.0
    student: float = 0.0
    shift: float = 0.0
    pairs: int = 0

    def apply(self, judged_N: np.ndarray, student_N: np.ndarray) -> np.ndarray:
        """P(right) of pairs, float64 [N], nan where the judge gave no P(yes).

        Args:
            judged_N: The judge's P(yes).
            student_N: The student's log-odds of it.
        """
        if not self.pairs:
            return judged_N
        return sigmoid(self.judge * log_odds(judged_N) + self.student * student_N + self.shift)


def fit_correction(judged_N: np.ndarray, student_N: np.ndarray, right_N: np.ndarray) -> Correction:
    """From reviewed pairs: `right_N` is 1 or 0, nan where nobody reviewed; pairs without both
    answers are left out."""
    both = ~np.isnan(judged_N) & ~np.isnan(right_N)
    if not both.any():
        return Correction()
    design = np.column_stack([log_odds(judged_N[both]), student_N[both], np.ones(both.sum())])
    identity, least = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -np.inf])
    weights = minimise(design, right_N[both], PENALTIES, least, towards=identity)
    judge, student, shift = weights.tolist()
    return Correction(judge, student, shift, int(both.sum()))


def moved(prior: Calibration, features_NF: np.ndarray, right_N: np.ndarray) -> Calibration:
    """The calibration that reviewed pairs make of one: `right_N` is 1 or 0, what people said."""
    if len(right_N) == 0:
        return prior
    standard_NF = (features_NF - np.array(prior.centres)) / np.array(prior.scales)
    design = np.column_stack([standard_NF, np.ones(len(right_N))])
    towards = np.array([*prior.weights, prior.intercept])
    penalties = np.full(len(towards), HOLD)
    least = np.array([min(weight, 0.0) for weight in prior.weights] + [-np.inf])
    *weights, intercept = minimise(design, right_N, penalties, least, towards=towards).tolist()
    return replace(prior, weights=tuple(weights), intercept=intercept)
