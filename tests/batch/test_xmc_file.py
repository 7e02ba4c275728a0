"""`lmtx tag --output scores.xmc.txt`, and documents that are labels themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.cli.main import main
from lmtx_ray.io import storage
from tests.batch.tagging import document, lines, tag
from tests.tiny_bundle import LABELS


@pytest.fixture
def source(tmp_path: Path) -> str:
    file = tmp_path / "tst.json"
    rows = [document(0), {"id": "empty", "text": ""}, document(2), document(3), document(2)]
    file.write_bytes(lines(*rows))
    return str(file)


def test_a_matrix_has_a_row_for_each_input_row_and_is_read_back(
    bundle: str, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "scores.xmc.txt")
    options = ["--unit-bytes", "150", "--top-k", "3"]
    assert tag(bundle, source, out, *options) == 0
    head, *rows = Path(out).read_text().splitlines()
    assert head == f"5 {len(LABELS)}"
    assert [len(row.split()) for row in rows] == [3, 0, 3, 3, 0]
    assert (tmp_path / "scores.rejects.csv").exists()
    assert tag(bundle, source, str(tmp_path / "out"), *options) == 0
    tags = read_tags(str(tmp_path / "out")).to_pylist()
    back = {row["doc_id"]: row for row in read_tag_file(out).to_pylist()}
    for number, row in zip((0, 2, 3), tags, strict=True):
        keys = [f"L{label}" for label in back[str(number)]["label_ids"]]
        assert keys == row["label_keys"]
        assert back[str(number)]["scores"] == row["scores"]
    written = Path(out).stat().st_mtime_ns
    assert tag(bundle, source, out, *options) == 0
    assert Path(out).stat().st_mtime_ns == written
    (tmp_path / "tst_X_Y.txt").write_text("5 16\n0:1 1:1\n\n4:1 5:1\n6:1\n\n")
    capsys.readouterr()
    assert main(["evaluate", "--tags", out, "--gold", str(tmp_path / "tst_X_Y.txt")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["matched"], found["documents"]) == (3, 3)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("unit_bytes", ["1", "9999999"])
def test_a_row_of_a_matrix_is_that_of_the_document_and_not_of_a_reject_with_its_id(
    bundle: str, tmp_path: Path, ending: str, unit_bytes: str
) -> None:
    texts = ["", "heart", "", "lung", "heart"]
    rows = [{"id": doc_id, "text": text} for doc_id, text in zip("XXYYX", texts, strict=True)]
    path = tmp_path / f"in.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1)
    elif ending == "csv":
        path.write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows))
    else:
        path.write_bytes(b"\n".join([b"", *(lines(row) for row in rows)]))  # lines between rows
    out = str(tmp_path / "scores.xmc.txt")
    assert tag(bundle, str(path), out, "--unit-bytes", unit_bytes, "--top-k", "1") == 0
    found = [bool(row) for row in Path(out).read_text().split("\n")[1:-1]]
    assert found == [False, True, False, True, False]


@pytest.mark.parametrize(
    "options", [["--long"], ["--pass-through", "title"], ["--keep-field", "title"]]
)
def test_what_a_matrix_cannot_hold_is_refused(
    bundle: str, source: str, tmp_path: Path, caplog, options: list[str]
) -> None:
    assert tag(bundle, source, str(tmp_path / "scores.xmc.txt"), *options) != 0
    assert ".xmc.txt" in caplog.text


def test_a_document_is_not_tagged_with_itself(
    bundle: str, source: str, tmp_path: Path, caplog
) -> None:
    whole = str(tmp_path / "whole.jsonl")
    assert tag(bundle, source, whole, "--top-k", "16") == 0
    matches = tmp_path / "filter_labels_test.txt"
    matches.write_text("0 1\n2 4\n2 5\n")
    out = str(tmp_path / "tags.jsonl")
    options = ["--self-matches", str(matches), "--top-k", "16"]
    assert tag(bundle, source, out, *options) == 0
    never = {"d0": {"L1"}, "d2": {"L4", "L5"}}
    rows = [json.loads(line) for line in Path(out).read_text().splitlines()]
    for row in rows:
        assert set(row["label_keys"]) == {f"L{n}" for n in range(16)} - never.get(row["id"], set())
    matches.write_text("0 1\n2 4\n")
    assert tag(bundle, source, out, *options) != 0
    assert "self_matches" in caplog.text
    matches.write_text("0 16\n")
    assert tag(bundle, source, str(tmp_path / "other.jsonl"), *options) != 0
    assert "line 1: row 16 of 16 labels" in caplog.text


def test_raw_text_is_tagged_line_by_line(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "tst.raw.txt").write_text("heart pain\n\nkidney disease\n")
    out = str(tmp_path / "scores.xmc.txt")
    assert tag(bundle, str(tmp_path / "tst.raw.txt"), out, "--top-k", "1") == 0
    assert [len(row) > 0 for row in Path(out).read_text().splitlines()[1:]] == [True, False, True]
    assert tag(bundle, str(tmp_path / "tst.raw.txt"), str(tmp_path / "out")) == 0
    ids = read_tags(str(tmp_path / "out"))["doc_id"].to_pylist()
    assert ids == ["tst.raw.txt#0", "tst.raw.txt#2"]


def test_further_columns_of_a_file_of_tags_are_nobodys_business(tmp_path: Path) -> None:
    late = pa.array([2**62], pa.timestamp("us"))  # beyond what a Python date can be
    tags = pa.table({"doc_id": ["a"], "label_keys": [["L1"]], "when": late})
    storage.write_table(str(tmp_path / "t.parquet"), tags)
    (tmp_path / "t.csv").write_text("doc_id,label_keys,note,note\na,L1,x,y\n")
    (tmp_path / "t.jsonl").write_text('{"doc_id": "a"}\n{"doc_id": "b", "label_keys": []}')
    for name in ("t.parquet", "t.csv"):
        table = read_tag_file(str(tmp_path / name))
        assert table.to_pylist() == [{"doc_id": "a", "label_keys": ["L1"]}]
    assert read_tag_file(str(tmp_path / "t.jsonl"))["doc_id"].to_pylist() == ["a", "b"]
