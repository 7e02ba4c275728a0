"""What the judge thinks of a ranking, and which row ships: gold labels play no part."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.evaluation.selection import Opinion, judged_precision, to_ship
from lmtx_ray.loop.outcome import final_method

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
    opinion = judged_precision(RANKINGS.slice(0, 3), verdicts(JUDGED), k=2)
    assert opinion.mean == pytest.approx(2 / 3)
    assert opinion.at_k == pytest.approx(4 / 6)
    assert opinion.low <= opinion.mean <= opinion.high
    assert opinion.documents == 3
    only_b = judged_precision(RANKINGS.slice(1, 1), verdicts(JUDGED), k=3)
    assert (only_b.mean, only_b.at_k) == (0.0, pytest.approx(1 / 3))


def test_a_top_label_the_judge_never_saw_is_an_error() -> None:
    with pytest.raises(ValueError, match="'a': a label at its top was never judged"):
        judged_precision(RANKINGS.slice(0, 1), verdicts(JUDGED), k=3)
    with pytest.raises(ValueError, match="no held-aside documents"):
        judged_precision(RANKINGS.slice(0, 0), verdicts(JUDGED), k=1)


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
