"""From features to probabilities: exact values, few pairs, monotony, what is kept in a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmtx_ray.evaluation.calibration import Calibration, fit
from lmtx_ray.evaluation.pair_features import NAMES, Known

ONE = ("cosine",)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float64)[:, None]


def curve(log_odds: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-log_odds))


def test_a_calibration_is_the_formula_it_says() -> None:
    made = Calibration(("cosine", "lexical"), (2.0, 0.5), (0.1, 4.0), (0.2, 2.0), -1.0)
    features = np.array([[0.3, 8.0], [0.1, 0.0]])
    expected = curve(np.array([-1 + 2 * 1 + 0.5 * 2, -1 - 0.5 * 2]))
    found = made.apply(features)
    assert found.dtype == np.float32
    assert found.tolist() == expected.astype(np.float32).tolist()


def test_the_curve_that_made_the_targets_is_found_again() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(4000, 2)) * [0.1, 3.0] + [0.5, 10.0]
    targets = curve(8 * (features[:, 0] - 0.5) + 0.3 * (features[:, 1] - 10) - 1)
    found = fit(features, targets, ("cosine", "lexical"), ridge=1e-3).apply(features)
    assert np.abs(found - targets).max() < 0.01


def test_exact_values_of_a_small_fit() -> None:
    """Two values, three quarters and one quarter yes: without a ridge, the log-odds of these."""
    features, targets = column(0, 0, 0, 0, 1, 1, 1, 1), np.array([0, 0, 0, 1, 0, 1, 1, 1.0])
    free = fit(features, targets, ONE, ridge=1e-9)
    assert free.apply(column(0, 1)) == pytest.approx([0.25, 0.75], abs=1e-4)
    assert free.weights == pytest.approx([np.log(3)], abs=1e-4)
    assert (free.centres, free.scales, free.intercept) == ((0.5,), (0.5,), pytest.approx(0))
    drawn = fit(features, targets, ONE, ridge=2.0)
    # the gradient is 0: 8 * (sigmoid(w) - 0.75) + 2 w = 0 for the one weight w
    assert 8 * (curve(np.array(drawn.weights)) - 0.75) + 2 * drawn.weights[0] == pytest.approx(0)


def test_evidence_never_lowers_a_probability() -> None:
    features, targets = column(0, 0, 1, 1), np.array([1, 1, 0, 0.0])
    assert fit(features, targets, ONE).weights == (0.0,)
    assert fit(features, targets, ONE).apply(column(0, 1)) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("values", "targets", "expected"),
    [
        ([], [], 0.5),
        ([0.4] * 4, [1, 0, 0, 0], 0.25),
        ([0.1, 0.9], [0, 1], None),
        ([0.4], [1], None),
    ],
)
def test_few_equal_or_separable_pairs_stay_finite(values, targets, expected) -> None:
    features = np.repeat(column(*values), len(NAMES), axis=1)
    probabilities = fit(features, np.array(targets, float), NAMES).apply(
        np.repeat(column(0.1, 0.4, 0.9), len(NAMES), axis=1)
    )
    assert np.isfinite(probabilities).all()
    if expected is not None:
        assert probabilities == pytest.approx(expected, abs=1e-3)


def test_huge_values_stay_probabilities() -> None:
    made = Calibration(ONE, (1e6,), (0.0,), (1e-6,))
    assert made.apply(column(-1e9, 1e9)).tolist() == pytest.approx([0, 1], abs=1e-6)


def test_a_pair_has_the_same_bits_in_any_company() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(100, len(NAMES)))
    made = fit(features, generator.random(100), NAMES)
    whole = made.apply(features)
    assert [made.apply(features[[n]])[0] for n in range(100)] == whole.tolist()
    assert made.apply(np.asfortranarray(features)[7:40]).tolist() == whole[7:40].tolist()


def test_it_survives_json() -> None:
    made = fit(column(0.0, 1.0, 2.0), np.array([0.1, 0.4, 0.8]), ONE)
    assert Calibration.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"features": ["colour"]}, ValueError, "unknown feature 'colour'"),
        ({"features": ["cosine"], "weights": [1, 2]}, ValueError, "of each feature"),
        ({"unheard": 1}, TypeError, "unheard"),
    ],
)
def test_what_cannot_be_read_says_why(values, error, message) -> None:
    with pytest.raises(error, match=message):
        Calibration.from_dict(values)


def test_a_label_that_was_not_found_has_what_stands_behind_the_last_one_found() -> None:
    """Log-odds are below 0 often: no score at all would be a better one."""
    ranked = np.array([4, 2, -1], np.int32), np.array([1.0, -2.0, -np.inf], np.float32)
    scores = Calibration().of_labels(Known(ranked, ranked, None, 3), np.array([2, 7, 4]))
    assert scores == pytest.approx(curve(np.array([-2.0, -2.0, 1.0])))
    places = Calibration(("place",)).of_labels(Known(ranked, ranked, None, 3), np.array([2, 7, 4]))
    assert places == pytest.approx(curve(-np.log1p([1.0, 2.0, 0.0])))
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    assert Calibration().of_labels(Known(none, none, None, 3), np.array([7])) == pytest.approx(0.5)
