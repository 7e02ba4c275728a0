"""Which rows of the quality table are compared: rivals by their best, the default by its last."""

from __future__ import annotations

import numpy as np

from benchmarks.quality_table import NAMES, Line, asked, differences, last

FIRST = {
    "untouched encoder": 20.0,
    "hybrid": 40.0,
    "judge re-ranking": 80.0,
    "segment alone": 21.0,
    "paper, published, 1 alone": 60.0,
    "paper, published, 2 alone": 55.0,
    "paper 1 alone": 50.0,
    "paper 2 alone": 52.0,
    "paper 2 fused": 58.0,
    "default 2 learned": 90.0,
    "default 10 learned": 64.0,
}


def line(name: str, points: float) -> Line:
    return Line(name, {metric: np.full(4, points) for metric in NAMES}, points, 0, 0, 0, 1)


LINES = {name: line(name, points) for name, points in FIRST.items()}


def test_the_last_cycle_is_the_last_by_number() -> None:
    (found,) = last(LINES, "default", "learned")
    assert found.name == "default 10 learned"
    assert [one.name for one in last(LINES, "segment", "alone")] == ["segment alone"]
    assert [one.name for one in last(LINES, "paper, published,", "alone")] == [
        "paper, published, 2 alone"
    ]


def test_a_rival_is_compared_by_the_best_of_its_cycles_and_kinds() -> None:
    told = {one["what"]: one for one in asked({"set": LINES})}
    alone = told["default beats paper, alone as published, by 5 points of P@1"]
    assert alone["value"]["set"] == {
        "over": "paper, published, 1 alone",
        "P@1": 4.0,
        "met": False,
    }
    fused = told["default beats paper fused with words by 5 points of P@1"]
    assert (fused["value"]["set"]["P@1"], fused["met"]) == (6.0, True)


def test_differences_are_told_of_every_kind() -> None:
    assert set(differences(LINES)) == {
        *("hybrid", "judge re-ranking", "segment alone"),
        *("paper, published, 2 alone", "paper 2 alone", "paper 2 fused"),
    }
