"""Files of changes to a label set: what they may look like, and what becomes of labels."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_changes import Fields, read_changes, to_put, to_update
from lmtx_ray.corpus.label_edits import edit, to_become
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.removed_labels import Removed

ROWS = [
    {"label_key": "a", "text": "one", "description": "the first", "aliases": ["uno", "eins"]},
    {"label_key": "b", "text": "two", "parent_keys": ["a"]},
    {"label_key": "c", "text": "three"},
]


def table(rows: list[dict] = ROWS) -> pa.Table:
    numbered = [{**row, "label_id": n} for n, row in enumerate(rows)]
    return schemas.conform(pa.Table.from_pylist(numbered, schema=schemas.LABELS), schemas.LABELS)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def said(changes: list) -> list[tuple[str, dict]]:
    return [(change.key, dict(change.fields)) for change in changes]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "key,text,parents\n7,ein  Text ,x|y\n"),
        ("a.tsv", "ID\tlabel\tparent_keys\n7\tein Text\tx|y\n"),
        ("a.jsonl", '{"uid": 7, "title": "ein Text", "parents": ["x", "y"]}\n'),
        ("a.json", '[{"label_key": 7.0, "name": "ein Text", "parents": "x|y"}]'),
    ],
)
def test_a_row_is_read_in_any_form(tmp_path: Path, name: str, text: str) -> None:
    changes = read_changes(written(tmp_path / name, text))
    assert said(changes) == [("7", {"text": "ein Text", "parent_keys": ["x", "y"]})]


def test_so_it_is_of_parquet_and_of_named_columns(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"code": ["x"], "words": ["a text"], "aliases": [["b"]]}), file)
    changes = read_changes(str(file), Fields("code", "words"))
    assert said(changes) == [("x", {"text": "a text", "aliases": ["b"]})]


def test_a_list_has_a_key_on_each_line(tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "a\n\n b \n")
    assert said(read_changes(file, names_only=True)) == [("a", {}), ("b", {})]
    assert said(read_changes(file)) == [("a", {"text": "a"}), ("b", {"text": "b"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,text\na,x\na,y\n", "a.csv: .*row 3: duplicate key 'a', first in row 2; nothing was"),
        (
            "key,text\n,x\nb,\n",
            "2 rows were rejected: row 2: field 'key' .*; row 3: field 't",
        ),
        ('{"key": ["a"]}', "row 1: field 'key' is list"),
        ('{"key": "a", "aliases": [{"x": 1}]}', "row 1: field 'aliases': an item is dict"),
        ('{"key": "a", "text": "x\\u0000"}', "row 1: NUL character in field 'text'"),
        ("key,text\n", "no row to change anything by"),
        ("words,text\na,b\n", "no column 'uid', .*Set --key-field"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    name = "a.jsonl" if text.startswith("{") else "a.csv"
    with pytest.raises(CorpusError, match=message):
        read_changes(written(tmp_path / name, text))


def test_an_update_changes_what_it_names_and_empties_what_is_empty(tmp_path: Path) -> None:
    labels = LabelSet.of(table())
    file = written(tmp_path / "a.csv", "key,description,aliases\na,,uno\nb,,\nc,the third,\n")
    wishes = to_update(read_changes(file), labels, table(), file)
    edited = edit(table(), Removed(), wishes, "2026-01-31")
    rows = edited.labels.to_pylist()
    assert [row["text"] for row in rows] == ["one", "two", "three"]
    assert [row["description"] or None for row in rows] == [None, None, "the third"]
    assert (rows[0]["aliases"], rows[1]["parent_keys"]) == (["uno"], ["a"])
    assert (edited.changed, edited.unchanged) == (2, 1)  # b says what it said
    assert edited.moves.fresh_L.tolist() == [True, False, False]


def test_put_adds_and_updates(tmp_path: Path) -> None:
    labels = LabelSet.of(table())
    file = written(tmp_path / "a.csv", "key,text\nd,four\nb,TWO\n")
    wishes = to_put(read_changes(file), labels, table(), file)
    edited = edit(table(), Removed(), wishes, "2026-01-31")
    keys = edited.labels["label_key"].to_pylist()
    assert list(zip(keys, edited.labels["text"].to_pylist(), strict=True)) == [
        ("a", "one"),
        ("b", "TWO"),
        ("c", "three"),
        ("d", "four"),
    ]
    assert edited.moves.before_L.tolist() == [0, 1, 2, -1]


def test_of_a_whole_file_the_order_means_nothing() -> None:
    again = table([{"label_key": row["label_key"], "text": row["text"]} for row in ROWS[::-1]])
    edited = edit(table(), Removed(), to_become(table(), again), "2026-01-31")
    assert (edited.added, edited.changed, edited.gone) == (0, 0, 0)
    assert edited.labels.equals(table())
    fewer = table([{**ROWS[0], "description": "the very first"}])
    edited = edit(table(), Removed(), to_become(table(), fewer), "2026-01-31")
    assert (edited.changed, edited.gone) == (1, 2)
    assert not edited.moves.fresh_L.any()
    assert edited.removed.on("b") == "2026-01-31"
    back = edit(edited.labels, edited.removed, to_become(edited.labels, table()), "2026-02-01")
    assert (back.back, len(back.removed)) == (2, 0)
