"""What the student is trained on: judged documents to train on, and no other."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.stages.examples import BuildExamples


def verdict(doc_id: str, teacher: str) -> dict:
    """A row of VERDICTS."""
    row = {"doc_id": doc_id, "label_id": 1, "answer": "yes", "p_yes": 0.9, "mass": 1.0}
    row |= {"raw": "", "prompt": "p", "teacher": teacher, "cycle": 1, "rank": 0}
    return row | {"asked": True}


@pytest.mark.parametrize("teacher", ["t", schemas.HUMAN])
def test_held_aside_and_test_documents_teach_nothing_whoever_judged_them(teacher: str) -> None:
    splits = {"a": "train", "b": "held_aside", "c": "test", "d": "train"}
    rows = [{"doc_id": d, "title": None, "text": d, "split": split} for d, split in splits.items()]
    documents = pa.Table.from_pylist(rows, schema=schemas.DOCUMENTS)
    said = [pa.Table.from_pylist([verdict(d, teacher)], schema=schemas.VERDICTS) for d in splits]
    examples = BuildExamples(PseudoLabelConfig(), 0)(documents, *said)
    assert examples["doc_id"].to_pylist() == ["a", "d"]
