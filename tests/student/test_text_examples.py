"""Which documents become examples where nobody is asked, and how often."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.student.text_examples import own_examples, segment_examples, title_examples

ROWS = [
    {"doc_id": "a", "title": "Heart", "text": "word " * 10, "split": "train"},
    {"doc_id": "b", "title": None, "text": "word " * 4, "split": "train"},
    {"doc_id": "c", "title": "Only a title", "text": "Only a title", "split": "train"},
    {"doc_id": "d", "title": "Held", "text": "aside", "split": "held_aside"},
]
DOCUMENTS = pa.Table.from_pylist(ROWS, schema=schemas.DOCUMENTS)
RANKINGS = pa.Table.from_pylist(
    [
        {"doc_id": row["doc_id"], "label_ids": ids, "scores": [1.0] * len(ids)}
        for row, ids in zip(ROWS, ([3, 1, 2], [0], [], [1]), strict=True)
    ],
    schema=schemas.RANKINGS,
)

IDS = RANKINGS.schema.field("label_ids").type


def test_a_title_and_another_text_are_needed() -> None:
    table = title_examples(DOCUMENTS, [[0], [1], [2], [3]])
    assert table.to_pylist() == [{"doc_id": "a", "clusters": [0]}]


def test_a_document_stands_once_for_each_of_its_pairs() -> None:
    table = segment_examples(DOCUMENTS, (4, 6))
    counts = {row["values"]: row["counts"] for row in table["doc_id"].value_counts().to_pylist()}
    # a: two pieces, so its title with itself and both, and both together
    assert counts == {"a": 4, "b": 1, "c": 3}
    assert table["slot"].to_pylist()[:4] == [0, 1, 2, 3]


def test_its_own_first_labels_are_taken_for_right() -> None:
    table = own_examples(DOCUMENTS, [RANKINGS], [2])
    assert [(row["doc_id"], row["positives"]) for row in table.to_pylist()] == [
        ("a", [3, 1]),
        ("b", [0]),
    ]
    assert table["targets"].to_pylist() == [[1.0, 1.0], [1.0]]


def test_first_labels_by_words_are_taken_for_right_too_each_once() -> None:
    by_words = RANKINGS.set_column(1, "label_ids", pa.array([[2, 0], [0], [5], []], IDS))
    table = own_examples(DOCUMENTS, [RANKINGS, by_words], [2, 1])
    assert table["positives"].to_pylist() == [[3, 1, 2], [0], [5]]


def test_rankings_of_other_documents_are_noticed() -> None:
    with pytest.raises(ValueError, match="re-run the step"):
        own_examples(DOCUMENTS, [RANKINGS.slice(1)], [2])
