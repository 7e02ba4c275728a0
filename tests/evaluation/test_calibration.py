"""Scores to probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmtx_ray.evaluation.calibration import Calibration, fit


def test_the_curve_that_made_the_targets_is_found_again() -> None:
    scores = np.linspace(0.01, 0.05, 200)
    targets = 1.0 / (1.0 + np.exp(-(scores - 0.03) * 200))
    assert np.abs(fit(scores, targets).apply(scores) - targets).max() < 0.01


def test_probabilities_keep_the_order_of_scores_and_sum_to_the_accepted() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=500)
    targets = (generator.random(500) < 0.3 + 0.2 * np.tanh(scores)).astype(float)
    probabilities = fit(scores, targets).apply(np.sort(scores))
    assert (np.diff(probabilities) >= 0).all()
    assert probabilities.mean() == pytest.approx(targets.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("scores", "targets", "expected"),
    [([], [], 0.5), ([0.4, 0.4, 0.4, 0.4], [1, 0, 0, 0], 0.25), ([0.1, 0.9], [0, 1], None)],
)
def test_few_equal_or_separable_pairs_stay_finite(scores, targets, expected) -> None:
    fitted = fit(np.array(scores, float), np.array(targets, float))
    probabilities = fitted.apply(np.array([0.1, 0.4, 0.9]))
    assert np.isfinite(probabilities).all()
    if expected is not None:
        assert probabilities == pytest.approx(expected, abs=1e-3)


def test_it_survives_json() -> None:
    fitted = fit(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.4, 0.8]))
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
