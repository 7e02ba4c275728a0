"""Precision, recall and F1 of the tags from some probability on, by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.evaluation.thresholds import at_thresholds

TAGS = pa.table(
    {
        "doc_id": ["a", "b", "c", "elsewhere"],
        "label_ids": [[1, 2, 3], [4, 5], [], [9]],
        "probabilities": [[0.9, 0.6, 0.2], [0.7, 0.1], [], [0.9]],
    }
)
GOLD = pa.table({"doc_id": ["a", "b", "c", "d"], "label_ids": [[1, 3], [5, 6], [7], []]})


def test_counts_are_over_all_tags_and_over_documents() -> None:
    low, middle, high = at_thresholds(TAGS, GOLD, [0.1, 0.5, 0.95])
    assert (low["precision"], low["recall"]) == (pytest.approx(3 / 5), pytest.approx(3 / 5))
    assert low["f1"] == pytest.approx(3 / 5)
    assert low["tags_per_document"] == pytest.approx(5 / 3, abs=1e-4)
    assert low["macro_precision"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3, abs=1e-6)
    assert low["macro_recall"] == pytest.approx((1 + 1 / 2 + 0) / 3, abs=1e-6)
    assert low["macro_f1"] == pytest.approx((4 / 5 + 2 / 4 + 0) / 3, abs=1e-6)
    assert (middle["precision"], middle["recall"]) == (pytest.approx(1 / 3, abs=1e-6), 0.2)
    assert (high["precision"], high["recall"], high["precision_ci"]) == (None, 0.0, None)
    ends = low["precision_ci"]
    assert ends[0] <= low["precision"] <= ends[1]


def test_all_right_is_not_for_sure() -> None:
    (found,) = at_thresholds(TAGS.slice(0, 1), GOLD, [0.8])
    assert found["precision"] == 1.0
    assert found["precision_ci"] == pytest.approx([0.2065, 1.0], abs=1e-3)


def test_without_probabilities_nothing_is_kept_and_without_gold_nothing_is_told() -> None:
    nothing = TAGS.set_column(2, "probabilities", pa.nulls(4, pa.list_(pa.float32())))
    (found,) = at_thresholds(nothing, GOLD, [0.1])
    assert (found["precision"], found["recall"]) == (None, 0.0)
    with pytest.raises(ValueError, match="no document has gold labels"):
        at_thresholds(TAGS, GOLD.slice(3, 1))
