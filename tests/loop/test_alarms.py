"""Labels that a judge accepts too often are named: in the log, the summary and the report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.alarms import frequent_labels, members_agree, name_frequent, told
from lmtx_ray.loop.steps import Cycle


def verdicts(folder: Path, name: str, rows: list[tuple[str, int, str]], **same: Any) -> Dataset:
    step = Dataset(str(folder / name), "0123456789ab")
    table = [
        {
            "doc_id": doc_id, "label_id": label, "answer": answer, "prompt": "p", "teacher": "t",
            "cycle": 1, "rank": 0, "asked": True, **same,
        }
        for doc_id, label, answer in rows
    ]  # fmt: skip
    step.publish_table(
        schemas.conform(pa.Table.from_pylist(table, schema=schemas.VERDICTS), schemas.VERDICTS),
        rows=16,
    )
    return step


def accepts(label: int, documents: int, answer: str = "yes") -> list[tuple[str, int, str]]:
    return [(f"d{n}", label, answer) for n in range(documents)]


def test_a_label_accepted_for_more_than_the_share_is_named(tmp_path: Path) -> None:
    rows = [*accepts(0, 9), *accepts(1, 13), *accepts(2, 40, "no"), *accepts(3, 40, "unclear")]
    step = verdicts(tmp_path, "one", rows)
    assert frequent_labels([step], 40, 5, 0.3) == {1: 13}
    assert frequent_labels([step], 40, 5, 0.2) == {1: 13, 0: 9}
    assert frequent_labels([step], 40, 5, 0.325) == {}  # more than, not as many
    assert frequent_labels([step], 40, 5, 1.0) == {}
    assert frequent_labels([step], 10, 5, 0.3) == {}  # of so few documents nothing is implausible


def test_steps_add_up_and_people_do_not_count(tmp_path: Path) -> None:
    one = verdicts(tmp_path, "one", accepts(4, 10))
    two = verdicts(tmp_path, "two", [(f"e{n}", 4, "yes") for n in range(5)])
    people = verdicts(tmp_path, "three", accepts(2, 40), teacher=HUMAN)
    assert frequent_labels([one, two, people], 40, 5, 0.3) == {4: 15}


class Run:
    """The steps of a layout that are read."""

    def __init__(self, folder: Path, *steps: Dataset) -> None:
        labels = pa.table(
            {"label_id": range(3), "label_key": ["L0", "L1", "L2"], "text": ["a", "hub name", "c"]}
        )
        documents = pa.table({"doc_id": [f"d{n}" for n in range(40)], "text": ["x"] * 40})
        documents = documents.append_column("split", pa.array(["train"] * 40))
        self.labels = Dataset(str(folder / "labels"), "0123456789ab")
        self.labels.publish_table(schemas.conform(labels, schemas.LABELS), rows=10)
        self.documents = Dataset(str(folder / "documents"), "0123456789ab")
        self.documents.publish_table(schemas.conform(documents, schemas.DOCUMENTS), rows=40)
        self.cycles = [Cycle(1, steps[0], steps[0], steps)]


def test_the_log_names_keys_and_the_summary_labels(tmp_path: Path, caplog) -> None:
    steps = verdicts(tmp_path, "a", accepts(1, 20)), verdicts(tmp_path, "b", accepts(0, 2))
    run: Any = Run(tmp_path, *steps)
    with caplog.at_level(logging.WARNING):
        found = name_frequent(run, 1, 0.3)
    assert found == [{"label_key": "L1", "label": "hub name", "documents": 20, "share": 0.5}]
    (line,) = caplog.messages
    assert "accepted 1 labels for more than 30 % of all documents (L1 50%)" in line
    assert "hub name" not in line
    (line,) = told({"frequent": found})
    assert line.startswith(
        "accepted for an implausible share of documents: hub name (50%); look at"
    )
    caplog.clear()
    assert name_frequent(run, 1, 0.6) == []
    assert name_frequent(run, 0, 0.1) == []
    assert not caplog.messages


@pytest.mark.parametrize("kind", ["ensemble", "lexical"])
def test_members_of_an_ensemble_agree_or_not(tmp_path: Path, kind: str) -> None:
    members = [{"kind": "lexical"}, {"kind": "vllm", "model": "a/b"}]
    teacher = TeacherConfig.model_validate({"kind": kind, "members": members})
    one = verdicts(tmp_path, "one", accepts(0, 30), raw="yes 0.9 | yes 0.8")
    two = verdicts(tmp_path, "two", accepts(1, 10, "no"), raw="yes 0.6 | no 0.1")
    people = verdicts(tmp_path, "three", accepts(2, 40), teacher=HUMAN)
    found = members_agree([one, two, people], teacher)
    if kind == "lexical":
        assert found == []
        return
    assert found == [{"members": ["lexical", "b"], "pairs": 40, "equal": 0.75, "kappa": 0.0}]
    assert told({"agreement": found}) == ["lexical and b agree on 75% of 40 pairs (kappa 0.00)"]
