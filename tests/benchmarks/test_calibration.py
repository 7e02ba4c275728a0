"""What `benchmarks.calibration` makes of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import asked, calibration_error, mean_of


def numbers(first: float, five: float) -> dict[str, dict[str, float]]:
    return {"first 1": {"ece": first, "distinct": 40}, "first 5": {"ece": five, "distinct": 90}}


def test_the_error_is_the_distance_of_what_is_stated_and_what_is_true() -> None:
    stated, right = np.repeat([0.2, 0.8], 50), np.tile([0.0, 1.0], 50)
    assert calibration_error(stated, right, bins=2) == pytest.approx(0.3)


def test_what_ships_is_held_against_one_score_of_rank_fusion_where_that_is_known() -> None:
    methods = {
        "before": numbers(0.2, 0.2),
        "log-odds": numbers(0.1, 0.1),
        "now": numbers(0.1, 0.06),
    }
    own = asked("a run", methods)
    assert [(line["value"], line["met"]) for line in own] == [(0.5, True), (0.3, True), (40, True)]
    known = asked("demo", methods, (0.16, 0.12))
    assert [(line["value"], line["met"]) for line in known[:2]] == [(0.625, False), (0.5, True)]


def test_several_judges_are_their_mean() -> None:
    one, two = {"a": {"b": 1.0}, "name": "x"}, {"a": {"b": 2.0}, "name": "x"}
    assert mean_of([one, two]) == {"a": {"b": 1.5}, "name": "x"}
    assert mean_of([one]) == one
