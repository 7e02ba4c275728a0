"""A judge's guesses and lapses: exact values, recovery, few pairs, hopeless judges."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation import kindness
from lmtx_ray.evaluation.calibration import fit
from lmtx_ray.evaluation.kindness import AT_ITS_WORD, FEWEST, Kindness, fit_through, wrong_of

ONE = ("score",)


def curve(log_odds: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-log_odds))


def test_what_it_says_of_labels_drawn_by_chance_is_its_mean() -> None:
    chance_N = np.array([0.1, 0.3] * FEWEST + [np.nan] * 9)
    assert wrong_of(chance_N) == pytest.approx(0.2)
    assert wrong_of(chance_N[: FEWEST - 1]) is None  # too few to tell
    assert wrong_of(np.ones(FEWEST)) == 1 - kindness.LEAST


def test_without_such_labels_it_is_taken_at_its_word() -> None:
    features, p_yes = np.array([[0.0], [1.0], [2.0]]), np.array([0.2, 0.5, 0.9])
    assert fit_through(features, p_yes, ONE, None) == (fit(features, p_yes, ONE), AT_ITS_WORD)
    assert fit_through(features[:0], p_yes[:0], ONE, 0.3)[1] == AT_ITS_WORD


@pytest.mark.parametrize(("wrong", "right"), [(0.3, 0.7), (0.02, 0.98), (0.35, 0.8), (0.1, 0.75)])
def test_the_truth_behind_a_judge_is_found_again(wrong: float, right: float) -> None:
    scores_N = np.random.default_rng(0).normal(size=20000) * 1.5
    true_N = curve(2 * scores_N - 1)
    seen_N = wrong + (right - wrong) * true_N
    found, kind = fit_through(scores_N[:, None], seen_N, ONE, wrong)
    assert kind == Kindness(wrong, pytest.approx(right, abs=0.01))
    assert found.log_odds(np.array([[0.0], [1.0]])) == pytest.approx([-1, 1], abs=0.1)  # the ridge


def test_where_little_is_known_it_misses_as_often_as_it_guesses() -> None:
    """No pair tells the height of the curve's end: what is left is the prior."""
    found, kind = fit_through(np.zeros((100, 1)), np.full(100, 0.3), ONE, 0.2)
    assert kind == Kindness(0.2, pytest.approx(0.8, abs=1e-3))
    assert found.apply(np.zeros((1, 1))) == pytest.approx([1 / 6], abs=1e-3)  # 0.2 + 0.6 / 6


@pytest.mark.parametrize("p_yes", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("wrong", [0.0, 0.5, 0.95])
def test_a_hopeless_judge_gives_probabilities_all_the_same(p_yes: float, wrong: float) -> None:
    scores_N = np.linspace(-3, 3, 60)
    found, kind = fit_through(scores_N[:, None], np.full(60, p_yes), ONE, wrong)
    probabilities = found.apply(scores_N[:, None])
    assert np.isfinite(probabilities).all()
    assert (np.diff(probabilities) >= 0).all()
    assert wrong < kind.right <= 1
