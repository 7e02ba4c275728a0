from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from lmtx_ray.pseudo_labels import PseudoLabelConfig, area_under_curve, build_examples, pair_report


def verdicts(rows: list[tuple[str, int, str, float | None]]) -> pa.Table:
    names = ("doc_id", "label_id", "answer", "p_yes")
    columns = zip(*rows, strict=True)
    return pa.table({name: list(column) for name, column in zip(names, columns, strict=True)})


def test_accepted_labels_are_positives_and_clear_noes_hard_negatives() -> None:
    table = verdicts([("a", 1, "yes", 0.75), ("a", 2, "no", 0.25), ("a", 3, "no", 0.4375),
                      ("a", 4, "yes", 0.875)])  # fmt: skip
    assert build_examples(table, PseudoLabelConfig()).to_pylist() == [
        {"doc_id": "a", "positives": [4, 1], "targets": [0.875, 0.75], "hard_negatives": [2]}
    ]


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
    table = verdicts([("a", 1, "yes", 0.9), ("a", 2, "no", 0.4), ("a", 3, "yes", 0.6),
                      ("z", 1, "yes", 0.9)])  # fmt: skip
    report = pair_report(table, gold)
    assert report == {"pairs": 3, "precision": 0.5, "recall": 0.5, "auc": 0.5}


def test_area_under_curve_counts_ties_half_and_needs_both_kinds() -> None:
    assert area_under_curve(np.array([1.0, 0.0]), np.array([True, False])) == 1.0
    assert area_under_curve(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert math.isnan(area_under_curve(np.array([0.5]), np.array([True])))
