"""What the judge thinks of a ranking, and which row ships: gold labels play no part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.evaluation.opinion import Accepted, Opinion, accepted_of, gain_over, to_ship
from lmtx_ray.loop.shipping import choose, final_method

RANKINGS = pa.table(
    {"doc_id": ["a", "b", "c", "other"], "label_ids": [[1, 2, 3], [4, 5], [6, 7, 8], [9, 9, 9]]}
)


def verdicts(answers: dict[tuple[str, int], str]) -> pa.Table:
    return pa.table(
        {
            "doc_id": [doc_id for doc_id, _ in answers],
            "label_id": [label for _, label in answers],
            "answer": list(answers.values()),
        }
    )


JUDGED = {
    ("a", 1): "yes",
    ("a", 2): "no",
    ("b", 4): "unclear",
    ("b", 5): "yes",
    ("c", 6): "yes",
    ("c", 7): "yes",
}


def test_precision_counts_unclear_and_absent_labels_as_no() -> None:
    opinion = accepted_of(RANKINGS.slice(0, 3), verdicts(JUDGED), k=2).opinion()
    assert opinion.mean == pytest.approx(2 / 3)
    assert opinion.at_k == pytest.approx(4 / 6)
    assert opinion.low <= opinion.mean <= opinion.high
    assert opinion.documents == 3
    only_b = accepted_of(RANKINGS.slice(1, 1), verdicts(JUDGED), k=3).opinion()
    assert (only_b.mean, only_b.at_k) == (0.0, pytest.approx(1 / 3))


def test_a_top_label_the_judge_never_saw_is_an_error() -> None:
    with pytest.raises(ValueError, match="'a': a label at its top was never judged"):
        accepted_of(RANKINGS.slice(0, 1), verdicts(JUDGED), k=3).opinion()
    with pytest.raises(ValueError, match="no held-aside documents"):
        accepted_of(RANKINGS.slice(0, 0), verdicts(JUDGED), k=1).opinion()


def opinion(mean: float) -> Opinion:
    return Opinion(mean, mean - 0.1, mean + 0.1, 100, 3, mean)


@pytest.mark.parametrize(
    ("ship", "dense", "fused", "best", "expected"),
    [
        ("auto", 0.6, 0.55, 1, "cycle_1_hybrid"),
        ("auto", 0.7, 0.55, 2, "cycle_2"),
        ("auto", 0.4, 0.6, 0, "hybrid"),
        ("dense", 0.1, 0.9, 1, "cycle_1"),
        ("dense", 0.1, 0.9, 0, "encoder"),
        ("hybrid", 0.9, 0.1, 2, "cycle_2_hybrid"),
    ],
)
def test_the_fused_ranking_ships_unless_the_judge_is_sure(
    ship: str, dense: float, fused: float, best: int, expected: str
) -> None:
    opinions = {"dense": opinion(dense), "hybrid": opinion(fused)}
    assert final_method(best, to_ship(opinions, ship)) == expected


@pytest.mark.parametrize(
    ("ship", "learned", "expected"),
    [
        ("auto", 0.55, "learned"),  # not as good as the hybrid, but within its interval
        ("auto", 0.4, "hybrid"),
        ("auto", 0.9, "learned"),
        ("hybrid", 0.9, "hybrid"),
        ("learned", 0.1, "learned"),
    ],
)
def test_all_sides_weighed_ship_unless_the_judge_is_sure_they_do_not_pay(
    ship: str, learned: float, expected: str
) -> None:
    opinions = {name: opinion(p) for name, p in (("dense", 0.3), ("hybrid", 0.6))}
    assert to_ship({**opinions, "learned": opinion(learned)}, ship) == expected


def accepted(rights: list[int]) -> Accepted:
    return Accepted([f"d{n}" for n in range(len(rights))], np.array(rights, float)[:, None])


def told(untrained: list[int], trained: list[int], ship: str = "auto"):
    sides = {0: accepted(untrained), 1: accepted(trained)}
    both = {number: {"dense": side, "hybrid": side} for number, side in sides.items()}
    opinions = {n: {name: one.opinion() for name, one in two.items()} for n, two in both.items()}
    best = max(opinions, key=lambda n: (opinions[n]["hybrid"].mean, -n))
    return choose(best, opinions, both, ship)


def test_a_student_that_is_surely_better_ships_and_says_by_how_much() -> None:
    choice = told([1] * 50 + [0] * 50, [1] * 70 + [0] * 30)
    assert (choice.method, choice.best) == ("cycle_1_hybrid", "cycle_1_hybrid")
    assert choice.gain.is_sure
    assert choice.gain.mean == pytest.approx(0.2)
    assert "cycle_1_hybrid ships: it beats the untrained hybrid by +20.0 points [" in choice.words
    assert "of judged P@1 on 100 held-aside documents" in choice.words


@pytest.mark.parametrize(
    ("ship", "method", "end"),
    [
        ("auto", "hybrid", "so the untrained hybrid ships"),
        ("dense", "cycle_1", "it ships as `ship: dense` says"),
        ("hybrid", "cycle_1_hybrid", "it ships as `ship: hybrid` says"),
    ],
)
def test_one_that_may_be_better_by_chance_gives_way(ship: str, method: str, end: str) -> None:
    choice = told([1, 0] * 20, [0, 1] * 19 + [1, 1], ship)
    assert choice.method == method
    assert "does not beat the untrained hybrid beyond chance" in choice.words
    assert choice.words.endswith(end)
    assert choice.to_dict()["gain"]["sure"] is False


def test_a_run_without_a_better_cycle_says_so() -> None:
    choice = told([1, 1, 0], [1, 0, 0])
    assert (choice.number, choice.method, choice.gain) == (0, "hybrid", None)
    assert "no cycle is better than the untrained hybrid" in choice.words


def test_a_gain_is_of_the_same_documents_and_none_where_all_are_alike() -> None:
    one = Accepted(["a", "b", "c"], np.array([[1.0], [0.0], [1.0]]))
    other = Accepted(["c", "d", "a", "b"], np.array([[1.0], [1.0], [1.0], [0.0]]))
    gain = gain_over(one, other)
    assert (gain.mean, gain.low, gain.high, gain.documents) == (0.0, 0.0, 0.0, 3)
    assert not gain.is_sure
