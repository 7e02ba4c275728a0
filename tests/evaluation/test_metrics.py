"""Metrics against worked values (truth and rankings below; six digits)."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation import metrics

TRUTH = [{0, 1}, {2}, {3, 4, 5, 6}]
PREDICTIONS = np.array([[0, 2, 1], [1, 2, 0], [7, 3, 6]])
COUNTS = np.array([1, 10, 100, 3, 50, 2, 7, 400])


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (metrics.precision_at_k, [0.333333, 0.500000, 0.555556]),
        (metrics.recall_at_k, [0.166667, 0.583333, 0.833333]),
        (metrics.r_precision_at_k, [0.333333, 0.666667, 0.888889]),
        (metrics.ndcg_at_k, [0.333333, 0.543643, 0.693791]),
    ],
)
def test_golden_values(measure, expected) -> None:
    values = [measure(PREDICTIONS, TRUTH, k).mean() for k in (1, 2, 3)]
    assert values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0.55, 1.5, [0.473528, 0.595923, 0.784552]),
        (0.5, 0.4, [0.489304, 0.606827, 0.785066]),
        (0.6, 2.6, [0.466768, 0.590094, 0.785196]),
    ],
)
def test_propensity_scored_precision(a: float, b: float, expected: list[float]) -> None:
    weights = metrics.inverse_propensity(COUNTS, 1000, a, b)
    values = []
    for k in (1, 2, 3):
        gained, best = metrics.psp_at_k(PREDICTIONS, TRUTH, k, weights)
        values.append(gained.sum() / best.sum())
    assert values == pytest.approx(expected, abs=1e-6)


def test_inverse_propensities_of_jain() -> None:
    weights = metrics.inverse_propensity(COUNTS, 1000, 0.55, 1.5)
    expected = [6.907755, 3.552147, 1.770430, 5.275852, 2.118911, 5.909667, 4.013763, 1.361628]
    assert weights == pytest.approx(expected, abs=1e-6)


def test_missing_predictions_and_documents_without_truth_score_zero() -> None:
    predictions = np.array([[-1, -1], [0, -1]])
    truth = [{0}, set()]
    for measure in (metrics.precision_at_k, metrics.recall_at_k, metrics.ndcg_at_k):
        assert measure(predictions, truth, 2).tolist() == [0.0, 0.0]


def test_bootstrap_holds_the_mean_and_is_seeded() -> None:
    values = np.array([0.0, 1.0] * 200)
    mean, low, high = metrics.bootstrap_mean(values, seed=1)
    assert (mean, low < 0.5 < high) == (0.5, True)
    half = 1.96 * 0.5 / np.sqrt(400)  # what 95 % lie within
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.004)
    assert metrics.bootstrap_mean(values, seed=1) == (mean, low, high)


def test_bootstrap_is_the_same_in_small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random(50)
    whole = metrics.bootstrap_mean(values, seed=1)
    monkeypatch.setattr(metrics, "MOST_WEIGHTS", 333)
    assert metrics.bootstrap_mean(values, seed=1) == pytest.approx(whole, abs=1e-12)


def test_paired_difference_is_exact_where_the_pairs_agree() -> None:
    values = np.array([0.2, 0.9, 0.4])
    difference = metrics.bootstrap_difference(values + 0.1, values, seed=1)
    assert difference == pytest.approx((0.1, 0.1, 0.1))
