"""A teacher that counts its questions, and how a test has it asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.stages import judge
from lmtx_ray.stages.judge import Asking, AskTeacher
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import BudgetReached, Usage, answers_table, with_answers
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.verdicts.store import VerdictStore

Say = Callable[[str, str], Reading]
IDENTITY = ("p", "t")


def by_length(text: str, label: str) -> Reading:
    """An answer that depends on both texts."""
    p_yes = (len(text) * 7 + len(label) * 3 + sum(label.encode())) % 10 / 10
    return Reading("yes" if p_yes > 0.5 else "no", p_yes, 0.8)


class Counting:
    """Says what `say` says; after `most` answers it meets `problem`."""

    prompt_fingerprint, fingerprint = IDENTITY

    def __init__(
        self, say: Say, most: int | None = None, problem: type[Exception] = BudgetReached
    ) -> None:
        self.say, self.most, self.problem = say, most, problem
        self.asked: list[tuple[str, str]] = []
        self.built = 0
        self.commit, self.usage = "", Usage()

    def judge(self, questions: pa.Table) -> pa.Table:
        pairs, readings = [], []
        for row in questions.to_pylist():
            for label_id, label in zip(row["label_ids"], row["label_texts"], strict=True):
                if self.most is not None and len(self.asked) >= self.most:
                    stop = self.problem("used up")
                    raise with_answers(stop, answers_table(pairs, readings))
                self.asked.append((row["text"], label))
                pairs.append((row["doc_id"], label_id))
                readings.append(self.say(row["text"], label))
        return answers_table(pairs, readings)


class Setting:
    """A store, labels, and a teacher that all workers of a test share."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = VerdictStore(str(folder / "store"))
        self.labels = str(folder / "labels.parquet")
        names = [f"label {n}" for n in range(12)]
        table = pa.table({"label_id": range(12), "label_key": names, "text": names})
        storage.write_table(self.labels, schemas.conform(table, schemas.LABELS))
        self.teacher = Counting(by_length)
        monkeypatch.setattr(judge, "build_teacher", self._build)

    def _build(self, *_: Any) -> Counting:
        self.teacher.built += 1
        return self.teacher

    def worker(self, source: str = "step", least_mass: float = 0.1, **more: Any) -> AskTeacher:
        """A worker that sees what the store holds now."""
        asking = Asking(
            teacher=TeacherConfig(kind="lexical", least_mass=least_mass),
            prompt=get_prompt("tag"),
            identity=IDENTITY,
            store=self.store.uri,
            known=self.partition.snapshot(),
            human=self.store.human().snapshot(),
            rankings=("dense", "hybrid"),
            plan={"train": [("hybrid", 4)], "held_aside": [("dense", 2), ("hybrid", 2)]},
            sources={"train": source, "held_aside": source},
            cycle=1,
        )
        return AskTeacher(replace(asking, **more), [self.labels])

    @property
    def partition(self) -> Any:
        return self.store.partition("t", "p")

    def stored(self) -> list[dict[str, Any]]:
        parts = [self.partition.read_part(name) for name in self.partition.part_names()]
        return [row for part in parts for row in part.to_pylist()]


def documents(texts: list[str], split: str = "train", start: int = 0) -> pa.Table:
    table = pa.table(
        {
            "doc_id": [f"d{start + n}" for n in range(len(texts))],
            "title": pa.nulls(len(texts), pa.string()),
            "text": texts,
            "split": [split] * len(texts),
        }
    )
    return schemas.conform(table, schemas.DOCUMENTS)


def rankings(table: pa.Table, *labels: int) -> pa.Table:
    """The same labels for every document, best first."""
    rows = table.num_rows
    made = {
        "doc_id": table["doc_id"],
        "label_ids": [list(labels)] * rows,
        "scores": [[1.0 / (1 + n) for n in range(len(labels))]] * rows,
    }
    return schemas.conform(pa.table(made), schemas.RANKINGS)


def fragments(table: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(documents, dense, hybrid): labels 3, 4, … and 0, 1, 2, 3, …"""
    return table, rankings(table, 3, 4, 5, 6), rankings(table, 0, 1, 2, 3, 4)


def said(view: pa.Table) -> list[tuple[str, int, str]]:
    """(doc_id, label_id, answer) of each verdict."""
    return list(zip(*(view[n].to_pylist() for n in ("doc_id", "label_id", "answer")), strict=True))
