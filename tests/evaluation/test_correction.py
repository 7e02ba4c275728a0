"""What reviewed pairs make of the judge's word and of the probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation.calibration import Calibration, log_odds, sigmoid
from lmtx_ray.evaluation.correction import HOLD, Correction, fit_correction, moved

NAN = float("nan")


def test_without_reviews_the_judge_is_taken_at_its_word() -> None:
    judged_N = np.array([0.2, NAN, 0.9])
    correction = fit_correction(judged_N, np.zeros(3), np.array([NAN, 1.0, NAN]))
    assert correction == Correction()
    assert correction.apply(judged_N, np.zeros(3))[[0, 2]].tolist() == [0.2, 0.9]


def test_exact_values_of_a_correction() -> None:
    found = Correction(judge=0.5, student=2.0, shift=-1.0, pairs=3)
    expected = 1 / (1 + np.exp(-(0.5 * np.log(0.8 / 0.2) + 2.0 * 0.3 - 1.0)))
    assert found.apply(np.array([0.8]), np.array([0.3])) == pytest.approx(expected)
    assert np.isnan(found.apply(np.array([NAN]), np.array([0.3])))


def test_a_judge_that_is_too_sure_is_found_out() -> None:
    generator = np.random.default_rng(0)
    said_N = generator.normal(0, 3, 4000)
    right_N = (generator.random(4000) < sigmoid(0.4 * said_N - 1.0)).astype(float)
    found = fit_correction(sigmoid(said_N), np.zeros(4000), right_N)
    assert found.pairs == 4000
    assert (found.judge, found.shift) == (pytest.approx(0.4, abs=0.05), pytest.approx(-1, abs=0.1))


def test_answers_that_contradict_every_yes_stay_finite() -> None:
    found = fit_correction(np.array([1.0, 0.0]), np.zeros(2), np.array([0.0, 1.0]))
    assert np.isfinite([found.judge, found.student, found.shift]).all()
    assert found.judge >= 0  # a judge is never read backwards


def test_reviews_move_probabilities_and_more_of_them_move_them_more() -> None:
    prior = Calibration(("cosine",), (1.0,), (0.5,), (0.1,), 1.0)
    generator = np.random.default_rng(0)
    features = generator.normal(0.5, 0.1, (400, 1))
    truth_N = sigmoid(3 * (features[:, 0] - 0.5) / 0.1 - 1)
    right_N = (generator.random(400) < truth_N).astype(float)
    assert moved(prior, features[:0], right_N[:0]) is prior
    off = [
        float(np.abs(made.apply(features) - truth_N).mean())
        for made in (prior, *(moved(prior, features[:n], right_N[:n]) for n in (20, 400)))
    ]
    assert off[0] > 0.25
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.05


def test_exact_values_of_a_move() -> None:
    """The intercept alone: one right pair at the centre; 0 is where the gradients meet."""
    prior = Calibration(("cosine",), (2.0,), (0.5,), (1.0,), -1.0)
    made = moved(prior, np.array([[0.5]]), np.array([1.0]))
    assert made.weights == (2.0,)
    step = made.intercept + 1.0
    assert sigmoid(np.array(made.intercept)) - 1.0 + HOLD * step == pytest.approx(0, abs=1e-8)


def test_log_odds_are_finite_everywhere() -> None:
    ends = log_odds(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(ends).all()
    assert ends[1] == 0
