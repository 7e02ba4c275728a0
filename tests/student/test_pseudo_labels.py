"""Verdicts to training examples: what is accepted, and by which measure."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.student.pseudo_labels import area_under_curve, build_examples, pair_report, relative

SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("label_id", pa.int32()),
        ("answer", pa.string()),
        ("p_yes", pa.float32()),
        ("teacher", pa.string()),
    ]
)


def verdicts(rows: list[tuple[str, int, str, float | None]], teacher: str = "t") -> pa.Table:
    table = [dict(zip(SCHEMA.names, (*row, teacher), strict=True)) for row in rows]
    return pa.Table.from_pylist(table, schema=SCHEMA)


def judged(doc_id: str, *p_yes: float) -> pa.Table:
    return verdicts([(doc_id, n, "yes" if p > 0.5 else "no", p) for n, p in enumerate(p_yes)])


def by_order(deviations: float = 1.0, **more: float) -> PseudoLabelConfig:
    return PseudoLabelConfig(accept_deviations=deviations, **more)


def test_accepted_labels_are_positives_and_clear_noes_hard_negatives() -> None:
    table = verdicts(
        [
            ("a", 1, "yes", 0.75),
            ("a", 2, "no", 0.25),
            ("a", 3, "no", 0.4375),
            ("a", 4, "yes", 0.875),
        ]
    )
    assert build_examples(table, PseudoLabelConfig()).to_pylist() == [
        {"doc_id": "a", "positives": [4, 1], "targets": [0.875, 0.75], "hard_negatives": [2]}
    ]


@pytest.mark.parametrize("grade", [0.9, 0.7, 0.6])
def test_a_grade_that_is_just_enough_is_accepted(grade: float) -> None:
    """An endpoint without probabilities answers with the very grades of a prompt."""
    table = verdicts([("a", 1, "yes", grade), ("a", 2, "yes", grade - 0.05)])
    (row,) = build_examples(table, PseudoLabelConfig(accept=grade)).to_pylist()
    assert row["positives"] == [1]
    config = PseudoLabelConfig(accept=0.5, negative_below=grade)
    (row,) = build_examples(table, config).to_pylist()
    assert (row["positives"], row["hard_negatives"]) == ([1, 2], [])
    table = verdicts([("a", 1, "yes", 0.95), ("a", 2, "no", grade)])
    (row,) = build_examples(table, PseudoLabelConfig(accept=0.92, negative_below=grade)).to_pylist()
    assert row["hard_negatives"] == []  # what is between the two, as if nobody had been asked


def test_equal_probabilities_favour_no_place_in_the_label_set() -> None:
    rows = [(f"d{n}", label, "yes", 0.75) for n in range(60) for label in range(3)]
    examples = build_examples(verdicts(rows), PseudoLabelConfig(max_positives=1))
    firsts = [labels[0] for labels in examples["positives"].to_pylist()]
    assert min(firsts.count(label) for label in range(3)) > 10


def test_an_unclear_answer_is_neither_and_a_document_without_yes_gives_no_row() -> None:
    table = verdicts([("a", 1, "unclear", None), ("a", 2, "yes", 0.9), ("b", 1, "no", 0.1)])
    (row,) = build_examples(table, PseudoLabelConfig()).to_pylist()
    assert (row["doc_id"], row["positives"], row["hard_negatives"]) == ("a", [2], [])


def test_examples_do_not_depend_on_the_order_of_verdicts() -> None:
    rows = [(doc, label, "yes", 0.5 + label / 100) for doc in "cab" for label in range(8)]
    config = PseudoLabelConfig(max_positives=3, soft=False)
    forward, backward = (build_examples(verdicts(part), config) for part in (rows, rows[::-1]))
    assert forward.equals(backward)
    assert forward["doc_id"].to_pylist() == ["a", "b", "c"]
    assert forward["positives"].to_pylist()[0] == [7, 6, 5]
    assert forward["targets"].to_pylist()[0] == [1.0, 1.0, 1.0]


def test_the_judge_is_scored_on_the_pairs_it_judged() -> None:
    gold = pa.table({"doc_id": ["a"], "label_ids": [[1, 2, 9]]})
    table = verdicts(
        [("a", 1, "yes", 0.9), ("a", 2, "no", 0.4), ("a", 3, "yes", 0.6), ("z", 1, "yes", 0.9)]
    )
    report = pair_report(table, gold)
    assert report == {"pairs": 3, "precision": 0.5, "recall": 0.5, "auc": 0.5}


def test_a_judge_without_probabilities_is_scored_by_its_answers() -> None:
    gold = pa.table({"doc_id": ["a"], "label_ids": [[1, 2]]})
    rows = [("a", 1, "yes", None), ("a", 2, "unclear", None), ("a", 3, "no", None)]
    assert pair_report(verdicts(rows), gold)["auc"] == 1.0
    swapped = [
        (doc, label, {"yes": "no", "no": "yes"}.get(said, said), p) for doc, label, said, p in rows
    ]
    assert pair_report(verdicts(swapped), gold)["auc"] == 0.0


def test_answers_of_people_say_nothing_about_the_judge() -> None:
    gold = pa.table({"doc_id": ["a"], "label_ids": [[1]]})
    people = verdicts([("a", 1, "no", None), ("a", 2, "yes", None)], "human")
    both = pa.concat_tables([people, verdicts([("a", 3, "no", 0.1)])])
    assert pair_report(both, gold)["pairs"] == 1


def test_without_deviations_verdicts_stay_as_they_are() -> None:
    table = judged("a", 0.2, 0.9)
    assert relative(table, PseudoLabelConfig()).equals(table)
    assert relative(table.slice(0, 0), by_order()).num_rows == 0


def test_a_rare_yes_is_accepted_by_its_own_documents_order() -> None:
    table = pa.concat_tables([judged("a", 0.001, 0.001, 0.001, 0.1), judged("b", 0.9, 0.9, 0.99)])
    assert build_examples(judged("a", 0.001, 0.001, 0.001, 0.1), PseudoLabelConfig()).num_rows == 0
    moved = relative(table, by_order())
    assert moved.schema.equals(table.schema)
    assert moved["answer"].to_pylist() == ["no", "no", "no", "yes", "no", "no", "yes"]
    first, second = build_examples(table, by_order()).to_pylist()
    assert (first["positives"], sorted(first["hard_negatives"])) == ([3], [0, 1, 2])
    assert second["positives"] == [2]
    assert relative(table, by_order(2.5))["answer"].to_pylist() == ["no"] * 7


def test_other_documents_do_not_move_a_document() -> None:
    alone = relative(judged("a", 0.001, 0.002, 0.1), by_order())
    beside = relative(
        pa.concat_tables([judged("b", 0.5, 0.9), judged("a", 0.001, 0.002, 0.1)]), by_order()
    )
    assert beside["p_yes"].to_pylist()[2:] == pytest.approx(alone["p_yes"].to_pylist())


@given(p_yes=st.floats(0, 1, width=32), labels=st.integers(1, 9), deviations=st.floats(0, 4))
def test_where_all_are_equal_none_is_accepted(p_yes: float, labels: int, deviations: float) -> None:
    table = judged("a", *[p_yes] * labels)
    assert "yes" not in relative(table, by_order(deviations))["answer"].to_pylist()
    assert build_examples(table, by_order(deviations)).num_rows == 0


def test_people_and_unclear_answers_are_not_moved_and_move_nothing() -> None:
    judge = judged("a", 0.001, 0.001, 0.1)
    people = verdicts([("a", 7, "yes", None), ("a", 8, "no", None)], "human")
    unclear = verdicts([("a", 9, "unclear", None)])
    moved = relative(pa.concat_tables([judge, people, unclear]), by_order())
    assert moved["answer"].to_pylist()[3:] == ["yes", "no", "unclear"]
    assert moved["p_yes"].to_pylist()[3:] == [None] * 3
    alone = relative(judge, by_order())
    assert moved["p_yes"].to_pylist()[:3] == pytest.approx(alone["p_yes"].to_pylist())
    only = relative(people, by_order())
    assert only["answer"].to_pylist() == ["yes", "no"]


@given(p_yes=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12))
def test_order_is_kept_and_probabilities_stay_ones(p_yes: list[float]) -> None:
    got = relative(judged("a", *p_yes), by_order(0.5))["p_yes"].to_pylist()
    given_ = [(p, q) for p, q in zip(p_yes, got, strict=True) if q is not None]
    assert all(0 <= q <= 1 for _, q in given_)
    pairs = sorted(given_)
    assert all(a[1] <= b[1] + 1e-6 for a, b in pairwise(pairs))


def test_area_under_curve_counts_ties_half_and_needs_both_kinds() -> None:
    assert area_under_curve(np.array([1.0, 0.0]), np.array([True, False])) == 1.0
    assert area_under_curve(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert math.isnan(area_under_curve(np.array([0.5]), np.array([True])))
