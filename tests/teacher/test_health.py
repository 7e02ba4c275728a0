"""A judge that teaches nothing is found out, and the message says what to change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.teacher.health import (
    ENOUGH_PAIRS,
    JudgeUseless,
    conclusion,
    examine,
    refuse_useless,
)
from lmtx_ray.teacher.reading import begins_with

RNG = np.random.default_rng(0)


def verdicts(
    answers: list[str],
    p_yes: list[float | None] | None = None,
    mass: float | None = 0.9,
    raw: str | None = None,
) -> pa.Table:
    rows = len(answers)
    return pa.table(
        {
            "answer": pa.array(answers, pa.string()),
            "p_yes": pa.array(p_yes or [None] * rows, pa.float32()),
            "mass": pa.array([mass] * rows, pa.float32()),
            "raw": pa.array(
                [raw if answer == "unclear" else None for answer in answers], pa.string()
            ),
        }
    )


def judged(p_yes: np.ndarray) -> pa.Table:
    return verdicts(["yes" if p > 0.5 else "no" for p in p_yes], p_yes.tolist())


def test_health_is_counted_over_the_right_pairs() -> None:
    health = examine(verdicts(["yes", "no", "no", "no", "unclear"], [0.9, 0.1, 0.2, 0.3, None]))
    assert health.pairs == 5
    assert health.unclear_rate == pytest.approx(0.2)
    assert health.yes_rate == pytest.approx(0.25)  # of the clear ones
    assert health.mass_mean == pytest.approx(0.9)
    assert health.p_yes_quantiles["50%"] == pytest.approx(0.25)
    empty = examine(verdicts([]))
    assert (empty.pairs, empty.mass_mean, empty.p_yes_quantiles) == (0, None, None)


def test_what_unclear_answers_begin_with_is_counted() -> None:
    for raw, opening in (
        (begins_with('"I\n', 0.7), '\\"I\\n'),
        (" Well, that depends on it", None),
        ("<think>\nFirst", None),
    ):
        (found,) = examine(verdicts(["unclear"] * 3, raw=raw)).openings.items()
        assert found == (opening or raw.strip()[:20], 3)
    assert examine(verdicts(["yes"])).openings == {}


@pytest.mark.parametrize(
    ("table", "name", "hint"),
    [
        (judged(RNG.uniform(0, 1, 200)), "usable", "not always the same"),
        (judged(RNG.uniform(0, 1, ENOUGH_PAIRS - 1)), "unknown", "too few"),
        (judged(RNG.uniform(0, 0.4, 200)), "useless", "says no to every pair"),
        (judged(RNG.uniform(0.6, 1, 200)), "useless", "says yes to every pair"),
        (judged(RNG.uniform(0.495, 0.505, 200)), "useless", "tells nothing apart"),
        (judged(np.append(RNG.uniform(0, 0.4, 199), 0.9)), "weak", "accept_deviations"),
        (verdicts(["unclear"] * 200, raw='begins with "Let" (0.90)'), "useless", "'Let' (200)"),
        (verdicts(["unclear"] * 200, raw="<think> a"), "useless", "as it thinks first"),
        (verdicts(["yes"] * 90 + ["no"] * 70 + ["unclear"] * 40), "weak", "20% of its answers"),
        (verdicts(["yes"] * 100 + ["no"] * 100, mass=None), "usable", ""),  # no probabilities
    ],
)
def test_conclusions_name_what_to_do(table: pa.Table, name: str, hint: str) -> None:
    got, why = conclusion(examine(table))
    assert got == name
    assert hint in why


def test_a_useless_judge_is_refused_and_the_way_on_is_named() -> None:
    with pytest.raises(JudgeUseless, match=r"after 200 pairs: it says no .*--force"):
        refuse_useless(verdicts(["no"] * 200))
    refuse_useless(verdicts(["no"] * (ENOUGH_PAIRS - 1)))
    refuse_useless(judged(RNG.uniform(0, 1, 200)))


@pytest.mark.parametrize(
    "table",
    [
        judged(RNG.uniform(0, 0.4, 200)),
        judged(RNG.uniform(0.0001, 0.01, 200)),
        judged(RNG.uniform(0.7, 1, 200)),
    ],
)
def test_who_accepts_by_the_order_is_not_told_to_do_so(table: pa.Table) -> None:
    """The advice on a judge whose yes is rare must help once it is followed."""
    assert conclusion(examine(table))[0] == "useless"
    assert conclusion(examine(table), by_order=True)[0] == "usable"
    refuse_useless(table, by_order=True)


@pytest.mark.parametrize(
    "table", [verdicts(["no"] * 200), judged(np.full(200, 0.01)), verdicts(["unclear"] * 200)]
)
def test_a_judge_without_an_order_is_useless_by_order_too(table: pa.Table) -> None:
    with pytest.raises(JudgeUseless):
        refuse_useless(table, by_order=True)
