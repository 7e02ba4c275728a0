"""Rows of a label set: each is read by one rule, or named with its file, row and field."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.labels import all_labels, label_tables
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.corpus.lines import CorpusError
from tests.prepared import prepare_corpus


def config(path: Path, **settings: object) -> CorpusConfig:
    return CorpusConfig(documents=("-",), labels=str(path), **settings)


def read(folder: Path, name: str, data: str | list, **settings: object) -> pa.Table:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(data, list):
        data = "".join(json.dumps(row) + "\n" for row in data)
    path.write_text(data)
    return pa.concat_tables(label_tables(config(path, **settings), 2))


@pytest.mark.parametrize("parents", ["parent_keys", "parents"])
def test_aliases_and_parents_are_lists_also_where_a_table_has_texts_only(
    tmp_path: Path, parents: str
) -> None:
    data = (
        f"uid,title,aliases,{parents}\n1,pots,,\n2,pans, a pan|old\\|pan ,1\n12,x,,2|1\n3,y,,12\n"
    )
    labels = read(tmp_path, "l.csv", data)
    assert labels["aliases"].to_pylist() == [[], ["a pan", "old|pan"], [], []]
    assert labels["parent_keys"].to_pylist() == [[], ["1"], ["2", "1"], ["12"]]
    assert [label.key for label in LabelSet.of(labels).parents("3")] == ["12", "2", "1"]
    rows = [
        {"uid": n, "title": "x", "aliases": a} for n, a in enumerate([["a", 7], "b", 7.0, None])
    ]
    found = read(tmp_path, "l.jsonl", rows)["aliases"].to_pylist()
    assert found == [["a", "7"], ["b"], ["7"], None]


def test_an_empty_column_of_a_usual_name_hides_no_other(tmp_path: Path) -> None:
    labels = read(tmp_path, "l.csv", "uid,key,title,text\n1,,,Dog\n,2,Cat,\n")
    assert labels["label_key"].to_pylist() == ["1", "2"]
    assert labels["text"].to_pylist() == ["Dog", "Cat"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"uid": "a", "title": "x\ud83d"}, "lone surrogate in field 'title'"),
        ({"uid": "a\ud83d", "title": "x"}, "lone surrogate in field 'uid'"),
        ({"uid": "a", "title": "x", "description": "\ud83d"}, "surrogate in field 'description'"),
        (
            {"uid": "a", "title": "x", "aliases": ["b", "\ud83d"]},
            "lone surrogate in field 'aliases'",
        ),
        ({"uid": "a", "title": "x", "aliases": [{}]}, "field 'aliases': an item is dict, not text"),
        ({"uid": "a", "title": "x", "parent_keys": {"a": 1}}, "field 'parent_keys': is dict"),
        ({"uid": "a", "title": "x", "description": 7}, "field 'description': is int, not text"),
        ({"uid": True, "title": "x"}, "field 'uid' is bool, not text or a whole number"),
        ({"uid": "a", "title": "\u200b"}, "field 'title' needs a text, got '\\u200b'"),
        ({"\ud800": "a", "title": "x"}, "set corpus.columns.label_key; the file has ?, title"),
        ({"uri": "a", "title": "x"}, "set corpus.columns.label_key; the file has uri, title"),
    ],
)
def test_what_is_wrong_with_a_label_names_file_row_and_field(
    tmp_path: Path, row: dict, said: str
) -> None:
    with pytest.raises(CorpusError) as error:
        read(tmp_path, "l.jsonl", [{"uid": "ok", "title": "ok"}, row])
    assert said in str(error.value)
    assert "l.jsonl row 2: " in str(error.value)
    assert "set corpus.bad_labels: leave_out" in str(error.value)
    assert "`lmtx labels import`" in str(error.value)  # where no config is written yet


def test_a_table_without_a_header_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"l\.tsv: no column .*'<http://x/1>', 'cats': .*header"):
        read(tmp_path, "l.tsv", "<http://x/1>\tcats\n<http://x/2>\tdogs\n")
    with pytest.raises(CorpusError, match=r"Set corpus.columns.label_key or --key-field"):
        read(tmp_path, "l.csv", "uri,label_en\n1,cats\n")


def test_all_bad_rows_are_counted_and_the_first_named(tmp_path: Path) -> None:
    data = "uri,label_en\n" + "".join(f"u{n},{n % 2 or ''}\n" for n in range(10))
    columns = {"label_key": "uri", "label_text": "label_en"}
    with pytest.raises(CorpusError) as error:
        read(tmp_path, "l.csv", data, columns=columns)
    assert "5 rows were rejected: " in str(error.value)
    assert "l.csv row 2: field 'label_en' needs a text, got ''; …; mend them" in str(error.value)


def test_labels_left_out_are_rejects_and_gold_keeps_its_meaning(tmp_path: Path) -> None:
    rows = [{"uid": f"L{n}", "title": "" if n in (0, 2) else f"label {n}"} for n in range(5)]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "d.jsonl").write_text('{"uid": "d", "content": "words"}\n')
    gold = [[1, 4], [0, 3], [2], [], [5]]
    test = [{"uid": f"t{n}", "content": f"x{n}", "target_ind": ids} for n, ids in enumerate(gold)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test))
    corpus = CorpusConfig(
        documents=(f"{tmp_path}/d.jsonl",),
        labels=f"{tmp_path}/l.jsonl",
        test=f"{tmp_path}/t.jsonl",
        held_aside=0,
        bad_labels="leave_out",
    )
    prepared = prepare_corpus(tmp_path, corpus)
    keys = prepared.labels["label_key"].to_pylist()
    assert keys == ["L1", "L3", "L4"]
    assert [row["position"] for row in prepared.label_rejects.to_pylist()] == [1, 3]
    found = {row["doc_id"]: row["label_ids"] for row in prepared.test.gold.to_pylist()}
    assert {doc: [keys[n] for n in labels] for doc, labels in found.items()} == {
        "t0": ["L1", "L4"],
        "t1": ["L3"],
        "t3": [],
    }
    reasons = prepared.test.rejects["reason"].to_pylist()
    assert "all its labels were left out" in reasons[0]
    assert "label index 5 of 5 labels" in reasons[1]
    counts = count_corpus(corpus)
    assert (counts.labels, counts.rejects, counts.test) == (3, 4, 3)
    assert "2 rows were rejected" in counts.reasons[0]


def test_of_rows_with_one_key_the_first_stays(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("uid,title\na,first\nb,\na,second\nb,kept\na,third\n")
    strict, lenient = (
        config(tmp_path / "l.csv", bad_labels=how) for how in ("refuse", "leave_out")
    )
    left_out = LeftOut()
    labels = pa.concat_tables(label_tables(lenient, 1, left_out)).to_pylist()
    assert [(row["label_id"], row["label_key"], row["text"]) for row in labels] == [
        (0, "a", "first"),
        (1, "b", "kept"),
    ]
    assert left_out.places == [1, 2, 4]
    assert [row["position"] for row in left_out.rejects] == [3, 4, 6]
    assert "duplicate key 'a', first in " in left_out.rejects[2]["reason"]
    assert left_out.rejects[2]["reason"].endswith("l.csv row 2")
    (tmp_path / "l.csv").write_text("uid,title\na,first\na,second\n")
    with pytest.raises(CorpusError, match=r"row 3: duplicate key 'a', first in .*leave_out"):
        list(label_tables(strict, 9))


@pytest.mark.parametrize("bad", ['2,"open\n', "2,a,b\n", "2,\udcff\n"])
def test_what_cannot_be_read_is_never_left_out(tmp_path: Path, bad: str) -> None:
    data = f"uid,title\n1,a\n{bad}3,c\n".encode(errors="surrogateescape")
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=r"l\.csv row 3: "):
        list(label_tables(config(tmp_path / "l.csv", bad_labels="leave_out"), 9))
    (tmp_path / "l.jsonl.gz").write_bytes(gzip.compress(b'{"uid": 1, "title": "a"}\n' * 2)[:-9])
    with pytest.raises(CorpusError, match="the rest is lost"):
        list(label_tables(config(tmp_path / "l.jsonl.gz", bad_labels="leave_out"), 9))


def test_a_folder_of_label_files_is_one_set(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"out/part={n}").mkdir(parents=True)
        table = pa.table(
            {"id": [n * 2, n * 2 + 1], "Name": ["mu\u0308nz", "x"], "odd": [b"\xff"] * 2}
        )
        pq.write_table(table, tmp_path / f"out/part={n}/p.parquet")
    (tmp_path / "out/_SUCCESS").write_text("")
    (labels,) = label_tables(config(tmp_path / "out"), 9)
    assert labels["label_key"].to_pylist() == ["0", "1", "2", "3"]
    assert labels["text"][0].as_py() == "münz"
    with pytest.raises(CorpusError, match="no such file or folder"):
        next(label_tables(config(tmp_path / "gone"), 9))


def test_read_once_into_memory_the_same_is_left_out(tmp_path: Path) -> None:
    rows = [
        ("a", "one"),
        ("b", ""),
        ("a", "two"),
        ("c", " é  x "),
        ("", "y"),
        ("c", "z"),
        ("a", ""),
    ]
    rows += [("d", "last")]
    (tmp_path / "l.jsonl").write_text(
        "".join(json.dumps({"uid": key, "title": text}) + "\n" for key, text in rows)
    )
    lenient = config(tmp_path / "l.jsonl", bad_labels="leave_out")
    left_out = LeftOut()
    expected = pa.concat_tables(label_tables(lenient, 2, left_out))
    found, out = all_labels(lenient, 2)
    assert found.equals(expected)
    assert out.places == left_out.places == [1, 2, 4, 5, 6]
    assert [{**one, "raw": ""} for one in out.rejects] == [
        {**one, "raw": ""} for one in left_out.rejects
    ]
    (tmp_path / "l.jsonl").write_text('{"uid": "", "title": "a"}\n')
    with pytest.raises(CorpusError, match="no labels"):
        all_labels(lenient, 2)
