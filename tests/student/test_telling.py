"""How often a training reports: often enough to be watched, too seldom to cost anything."""

from __future__ import annotations

import torch

from lmtx_ray.student import telling
from lmtx_ray.student.data_parallel import Workers


class Time:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reported(seconds_a_step: float, seconds_a_report: float, steps: int) -> list[dict[str, float]]:
    clock, told = Time(), []

    def report(values: dict[str, float]) -> None:
        told.append(values)
        clock.now += seconds_a_report

    reports = telling.Reports(report, Workers(), torch.device("cpu"), clock)
    for step in range(steps):
        clock.now += seconds_a_step
        reports.after(step, step + 1 == steps, 24, {"loss": 1.0, "precision_at_1": 0.5})
    return told


def steps(told: list[dict[str, float]]) -> list[float]:
    return [values["step"] for values in told]


def test_the_first_and_the_last_step_are_reported_and_some_between() -> None:
    told = reported(seconds_a_step=2.0, seconds_a_report=0.0, steps=8)
    assert steps(told) == [1, 3, 5, 7, 8]
    assert told[1] == {"step": 3, "loss": 1.0, "precision_at_1": 0.5, "examples_per_second": 12.0}


def test_slow_reports_take_less_than_a_hundredth_of_the_time() -> None:
    told = reported(seconds_a_step=1.0, seconds_a_report=2.0, steps=1000)
    assert steps(told) == [1, 401, 801, 1000]
