from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.evaluation.evaluation import compare, evaluate, summarise

GOLD = pa.table({"doc_id": ["a", "b"], "label_ids": [[1, 2], [3]]})


def rankings(labels: dict[str, list[int]]) -> pa.Table:
    return pa.table({"doc_id": list(labels), "label_ids": list(labels.values())})


def test_a_gold_document_without_a_ranking_scores_zero() -> None:
    rows = evaluate(rankings({"a": [1]}), GOLD, {"P": (1,)})
    assert summarise(rows)["P@1"] == 0.5
    assert summarise(rows)["documents"] == 2


def test_documents_are_joined_by_id_not_by_order() -> None:
    rows = evaluate(rankings({"b": [3], "x": [9], "a": [2]}), GOLD, {"P": (1,)})
    assert summarise(rows)["P@1"] == 1.0


def test_excluded_labels_leave_rankings_and_gold() -> None:
    rows = evaluate(rankings({"a": [3, 1], "b": [3]}), GOLD, {"P": (1,), "R": (1,)}, exclude={3})
    summary = summarise(rows)
    assert (summary["P@1"], summary["R@1"], summary["documents"]) == (1.0, 0.5, 1)


def test_comparison_is_paired_and_refuses_other_documents() -> None:
    better = evaluate(rankings({"a": [1], "b": [3]}), GOLD, {"P": (1,)})
    worse = evaluate(rankings({"a": [1], "b": [0]}), GOLD, {"P": (1,)})
    assert compare(better, worse, "P@1")["P@1"] == 0.5
    turned = evaluate(rankings({"b": [3], "a": [1]}), GOLD.take([1, 0]), {"P": (1,)})
    assert compare(worse, turned, "P@1") == compare(worse, better, "P@1")
    alike = evaluate(rankings({"a": [1], "b": [0]}), GOLD.take([1, 0]), {"P": (1,)})
    assert compare(worse, alike, "P@1") == {"P@1": 0.0, "P@1_ci": [0.0, 0.0]}
    other = evaluate(rankings({"a": [1]}), GOLD.slice(0, 1), {"P": (1,)})
    with pytest.raises(ValueError, match="different documents"):
        compare(better, other, "P@1")


def test_unknown_metric_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"MAP.*known.*nDCG"):
        evaluate(rankings({}), GOLD, {"MAP": (1,)})
