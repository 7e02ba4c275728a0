"""Rare and frequent labels: the published golden values of PSP, and recall by slice by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.frequency import SLICES, Frequency, summary_of, sums_of

COUNTS = np.array([1, 10, 100, 3, 50, 2, 7, 400])
FREQUENCY = Frequency(COUNTS, 1000)
GOLD = pa.table({"doc_id": ["a", "b", "c"], "label_ids": [[0, 1], [2], [3, 4, 5, 6]]})
RANKINGS = pa.table(
    {
        "doc_id": ["a", "b", "c"],
        "label_ids": [[0, 2, 1], [1, 2, 0], [7, 3, 6]],
        "scores": pa.array([[3.0, 2.0, 1.0]] * 3, pa.list_(pa.float32())),
    }
)


def summary(parts: int = 1, **more: object) -> dict:
    gold = schemas.conform(GOLD, schemas.GOLD)
    cuts = range(0, 3, -(-3 // parts))
    sums = [
        sums_of(RANKINGS, gold.slice(cut, -(-3 // parts)), FREQUENCY, (1, 2, 3), 3, **more)
        for cut in cuts
    ]
    return summary_of(sums, (1, 2, 3), 3)


@pytest.mark.parametrize("parts", [1, 3])
def test_psp_is_a_ratio_of_sums_over_all_units(parts: int) -> None:
    found = summary(parts)
    expected = {1: 0.473528, 2: 0.595923, 3: 0.784552}
    assert {k: found[f"PSP@{k}"] for k in expected} == pytest.approx(expected, abs=1e-6)
    low, high = found["PSP@3_ci"]
    assert low <= found["PSP@3"] <= high


def test_recall_by_the_number_of_documents_that_a_label_stands_in() -> None:
    found = summary()["by_frequency"]
    assert {name: (one["pairs"], one["R@3"]) for name, one in found.items()} == {
        "1": (1, 1.0),  # label 0
        "2–5": (2, 0.5),  # 3 is found, 5 is not
        "6–20": (2, 1.0),  # 1 and 6
        "21–100": (2, 0.5),  # 2 is found, 4 is not
    }


def test_every_label_is_in_one_slice() -> None:
    sizes = Frequency(np.array([0, 1, 2, 5, 6, 20, 21, 100, 101, 10**6]), 9).sizes()
    assert list(sizes) == [name for name, _, _ in SLICES]
    assert list(sizes.values()) == [1, 1, 2, 2, 2, 2]


def test_labels_that_are_left_out_count_nowhere() -> None:
    assert "1" not in summary(exclude={0})["by_frequency"]


def test_two_annotated_documents_make_no_weights() -> None:
    assert Frequency(COUNTS, 2).weights_L.tolist() == [1.0] * len(COUNTS)
