"""How kind a judge is, and what its P(yes) is worth once that is known, without anybody's review.

A judge says yes to some labels that are wrong, and no to some that are right. Asked about labels
drawn by chance, which in a large label set are wrong, it tells how often the first happens. The
second is the height at which its P(yes) stops rising, however good the evidence is. Between the two
lies the probability that a label is right: in psychometrics, a curve with a guess rate and a lapse
rate. Shapes: N pairs, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from lmtx_ray.evaluation.calibration import RIDGE, Calibration, fit, sigmoid

SPREAD = 0.1  # a judge misses right labels about as often as it accepts wrong ones, give or take
LEAST = 0.05  # between the two ends, however poor a judge is
FEWEST = 50  # pairs; fewer say too little


@dataclass(frozen=True)
class Kindness:
    """A judge's mean P(yes) of labels that are wrong and of labels that are right; a judge that is
    taken at its word has 0 and 1."""

    wrong: float = 0.0
    right: float = 1.0


AT_ITS_WORD = Kindness()


def wrong_of(chance_N: np.ndarray) -> float | None:
    """The mean P(yes) of labels drawn by chance, nan where there was none; None of too few."""
    given_N = chance_N[~np.isnan(chance_N)]
    if len(given_N) < FEWEST:
        return None
    return float(np.clip(given_N.mean(), 0.0, 1.0 - LEAST))


def fit_through(
    features_NF: np.ndarray, p_yes_N: np.ndarray, names: tuple[str, ...], wrong: float | None
) -> tuple[Calibration, Kindness]:
    """The probabilities that, seen through a judge who says yes to so many `wrong` labels, look
    most like its P(yes), and how kind it is. None takes it at its word (`calibration.fit`)."""
    plain = fit(features_NF, p_yes_N, names)
    if wrong is None or len(p_yes_N) == 0:
        return plain, AT_ITS_WORD
    centres_F, scales_F = np.array(plain.centres), np.array(plain.scales)
    design = np.column_stack([(features_NF - centres_F) / scales_F, np.ones(len(p_yes_N))])
    start = [*plain.weights, plain.intercept, max(1.0 - wrong, wrong + LEAST)]
    bounds = [(0.0, None)] * len(names) + [(None, None), (wrong + LEAST, 1.0)]
    exact = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 1000}
    found = minimize(
        _loss, start, (design, p_yes_N, wrong), "L-BFGS-B", jac=True, bounds=bounds, options=exact
    )
    *weights, intercept, right = found.x.tolist()
    own = Calibration(plain.features, tuple(weights), plain.centres, plain.scales, intercept)
    return own, Kindness(wrong, right)


def _loss(
    at: np.ndarray, design: np.ndarray, p_yes_N: np.ndarray, wrong: float
) -> tuple[float, np.ndarray]:
    """Log loss of what a judge is taken to say, with the ridge and the prior; and its slopes."""
    weights, right = at[:-1], float(at[-1])
    true_N = sigmoid(design @ weights)
    seen_N = np.clip(wrong + (right - wrong) * true_N, 1e-9, 1.0 - 1e-9)
    losses_N = p_yes_N * np.log(seen_N) + (1.0 - p_yes_N) * np.log1p(-seen_N)
    away = right - (1.0 - wrong)
    loss = -losses_N.sum() + 0.5 * RIDGE * (weights[:-1] ** 2).sum() + away**2 / (2 * SPREAD**2)
    slopes_N = (seen_N - p_yes_N) / (seen_N * (1.0 - seen_N))
    slopes = design.T @ (slopes_N * (right - wrong) * true_N * (1.0 - true_N))
    slopes[:-1] += RIDGE * weights[:-1]
    return float(loss), np.append(slopes, slopes_N @ true_N + away / SPREAD**2)
