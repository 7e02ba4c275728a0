"""What the next run asks its judge after labels were removed, renamed and added: what is new to it
and nothing else, although every label has another id by then."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_edits import Wishes, edit
from lmtx_ray.corpus.removed_labels import Removed
from lmtx_ray.io import storage
from tests.stages.asking import Counting, Setting, by_length, documents, rankings

KEPT = ["label 1", "label 2", "label 3", "label 4"]


def rows(*labels: tuple[str, str]) -> pa.Table:
    keys, texts = zip(*labels, strict=True)
    table = pa.table({"label_id": [0] * len(keys), "label_key": keys, "text": texts})
    return schemas.conform(table, schemas.LABELS)


def asked_for(setting: Setting, labels: list[str]) -> list[str]:
    """Label texts that a run asks about for one document whose candidates these are, by key."""
    table = storage.read_table(setting.labels)
    keys = table["label_key"].to_pylist()
    wanted = [keys.index(label) for label in labels]
    document = documents(["one text"])
    found = rankings(document, *wanted)
    setting.teacher = Counting(by_length)
    view = setting.worker()(document, found, found)
    assert view["label_id"].to_pylist() == wanted
    return [label for _, label in setting.teacher.asked]


def test_only_a_new_text_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(tmp_path, monkeypatch)
    assert asked_for(setting, KEPT) == KEPT
    wishes = Wishes(
        added=rows(("new", "label anew")),
        changed=rows(("label 2", "label two")),
        gone=["label 0", "label 1"],
    )
    before = storage.read_table(setting.labels)
    edited = edit(before, Removed(), wishes, "2026-01-31")
    setting.labels = str(tmp_path / "edited.parquet")
    storage.write_table(setting.labels, edited.labels)
    assert asked_for(setting, ["label 2", "label 3", "label 4", "new"]) == [
        "label two",
        "label anew",
    ]
    back = edit(edited.labels, edited.removed, Wishes(rows(("label 1", "label 1"))), "2026-02-01")
    setting.labels = str(tmp_path / "back.parquet")
    storage.write_table(setting.labels, back.labels)
    assert asked_for(setting, ["label 1", "label 2", "label 3", "new"]) == []
