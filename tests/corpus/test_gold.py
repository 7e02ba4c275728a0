"""Gold labels as people have them: whatever the file's form, the same labels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.corpus.gold import GoldSource, read_gold
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage

KEYS = ["L0", "L1", "L2", "7", "L4", "L5"]
TEXTS = ["Heart", "Lung", "Liver, Diseases", "Skin", "Pain", "Pain"]
NAMES = LabelNames(KEYS, TEXTS)
RIGHT = {"a": [0, 2], "b": [1], "c": [0, 1, 3]}


def read(path: Path, text: str, **options: object):
    path.write_text(text, encoding="utf-8")
    return read_gold(GoldSource((str(path),), **options), NAMES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wide.csv", "doc_id,labels\na,L0|L2\nb,L1\nc,L0|L1|7\n"),
        ("text.csv", 'id,text,tags\na,x,"Heart; Liver, Diseases"\nb,x,Lung\nc,x,Heart;Lung;Skin\n'),
        ("comma.csv", 'uid,gold\na,"L0,L2"\nb,L1\nc,"L0, L1,7"\n'),
        ("lists.csv", 'id,keywords\na,"[\'Heart\', \'L2\']"\nb,"[""L1""]"\nc,"[0, 1]|"\n'),
        (
            "two.tsv",
            "document\tconcept\na\tHeart\na\tLiver, Diseases\nb\tLung\nc\tL0\nc\tL1\nc\t7\n",
        ),
        ("long.csv", 'doc,label\na,Heart\nb,Lung\na,"Liver, Diseases"\nc,7\nc,L0\nc,L1\n'),
        ("ids.csv", "doc_id,label_ids\na,0|2\nb,1\nc,3|0|1\n"),
        ("heads.csv", "Doc ID,Label IDs\na,0|2\nb,1\nc,3|0|1\n"),
        (
            "rows.jsonl",
            '{"id": "a", "labels": ["L0", "L2"]}\n{"id": "b", "labels": "Lung"}\n'
            '{"id": "c", "labels": ["Heart", "Lung", 7]}\n',
        ),
        (
            "xmc.jsonl",
            '{"uid": "a", "target_ind": [0, 2]}\n{"uid": "b", "target_ind": [1]}\n'
            '{"uid": "c", "target_ind": [0, 1, 3]}\n',
        ),
    ],
)
def test_every_form_of_a_file_is_the_same_gold(tmp_path: Path, name: str, text: str) -> None:
    gold = read(tmp_path / name, text)
    if name == "lists.csv":  # a cell that only looks like a list is a name that nobody has
        assert [reject["position"] for reject in gold.rejects] == [4]
        assert gold.labels == {**RIGHT, "c": []}
        return
    assert gold.labels == RIGHT
    assert not gold.rejects


def test_parquet_and_compressed_files_are_read_too(tmp_path: Path) -> None:
    table = pa.table({"doc_id": [1, 2], "label_keys": [["L0"], ["L1", "Skin"]]})
    storage.write_table(str(tmp_path / "gold.parquet"), table)
    (tmp_path / "more.csv.gz").write_bytes(gzip.compress(b"doc_id,label\n3,Heart\n1,Lung\n"))
    files = (str(tmp_path / "gold.parquet"), str(tmp_path / "more.csv.gz"))
    assert read_gold(GoldSource(files), NAMES).labels == {"1": [0, 1], "2": [1, 3], "3": [0]}


def test_what_is_no_label_is_a_reject_with_file_row_value_and_near_matches(tmp_path: Path) -> None:
    text = "id,labels\na,Hart|L1\nb,Pain\nc,L1|nothing alike\n,L0\n"
    gold = read(tmp_path / "gold.csv", text)
    assert gold.labels == {"a": [1], "b": [], "c": [1]}
    assert [(bad["position"], bad["source"]) for bad in gold.rejects] == [
        (row, str(tmp_path / "gold.csv")) for row in (2, 3, 4, 5)
    ]
    reasons = [bad["reason"] for bad in gold.rejects]
    assert reasons[0] == "'Hart' is no key and no text of a label; did you mean 'Heart' (L0)?"
    assert reasons[1] == "'Pain' is the text of labels 'L4', 'L5': give the key"
    assert reasons[2] == "'nothing alike' is no key and no text of a label"
    assert reasons[3] == "missing field 'id'"
    assert gold.rejects[0]["raw"] == "Hart|L1"


def test_columns_and_separator_can_be_named(tmp_path: Path) -> None:
    text = "nr,one,mesh\na,x,L0/L2\nb,x,Lung\n"
    named = {"document": "nr", "labels": "mesh", "separator": "/"}
    assert read(tmp_path / "gold.csv", text, **named).labels == {"a": [0, 2], "b": [1]}
    with pytest.raises(
        CorpusError, match=r"gold\.csv: which column holds document ids\?.*--gold-id"
    ):
        read(tmp_path / "gold.csv", text)
    with pytest.raises(CorpusError, match=r"no column 'mash'; did you mean mesh"):
        read(tmp_path / "gold.csv", text, **{**named, "labels": "mash"})
    with pytest.raises(CorpusError, match=r"holds labels.*'one', 'mesh'; .*--gold-labels"):
        read(tmp_path / "gold.csv", text, document="nr")


def test_without_a_label_set_names_are_kept_and_cut_as_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,labels\na,Heart;other\nb,strange;odd\nc,7\n")
    gold = read_gold(GoldSource((str(path),)), NAMES, strict=False)
    assert gold.labels == {"a": [0, 6], "b": [7, 8], "c": [3]}
    assert not gold.rejects


def test_a_name_that_looks_like_a_list_is_that_name(tmp_path: Path) -> None:
    names = LabelNames(["[2]", "2"], ["['a']", "a"])
    (tmp_path / "gold.csv").write_text("id,labels\na,[2]\nb,['a']\nc,\"['[2]', 'a']\"\nd,[a]\n")
    gold = read_gold(GoldSource((str(tmp_path / "gold.csv"),)), names)
    assert gold.labels == {"a": [0], "b": [0], "c": [0, 1], "d": []}


def test_many_names_find_near_matches_among_those_that_begin_alike() -> None:
    names = LabelNames([f"K{n}" for n in range(30_000)], [f"topic {n}" for n in range(30_000)])
    assert "did you mean" in names.resolve("topic 1x").reason
    assert json.dumps(names.resolve("topic 17")) == "17"


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_named_field_that_no_row_of_json_has_is_an_error(tmp_path: Path) -> None:
    rows = [{"id": str(n)} for n in range(300)]  # documents may be without labels
    text = lines(*rows, {"id": "a", "tags": ["L0"]})
    with pytest.raises(CorpusError, match=r"gold\.jsonl: no row has a field 'tagz'; .* tags\?"):
        read(tmp_path / "gold.jsonl", lines({"id": "a", "tags": ["L0"]}), labels="tagz")
    with pytest.raises(CorpusError, match=r"no row has a field 'doc'; it has: 'id'"):
        read(tmp_path / "gold.jsonl", text, document="doc", labels="tags")
    assert read(tmp_path / "gold.jsonl", text, labels="tags").labels["a"] == [0]


def test_the_first_rows_of_json_tell_the_columns_together(tmp_path: Path) -> None:
    text = lines({"id": "a", "text": "x"}, {"id": "b", "text": "x", "tags": ["L1"]})
    gold = read(tmp_path / "gold.jsonl", text)
    assert (gold.labels, gold.rejects) == ({"a": [], "b": [1]}, [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"id": "a", "labels": ["L0"]}, {"id": "b", "labels": ["L1"], "doc_id": "other"}),
        ({"doc": "a", "tags": ["L0"]}, {"doc": "b", "tags": ["L1"], "labels": []}),
        ({"id": "a", "codes": ["L0"]}, {"id": "b", "codes": ["L1"], "note": "x"}),
    ],
)
def test_a_field_that_later_rows_of_json_have_too_takes_no_other_ones_place(
    tmp_path: Path, first: dict, second: dict
) -> None:
    gold = read(tmp_path / "gold.jsonl", lines(first, second))
    assert (gold.labels, gold.rejects) == ({"a": [0], "b": [1]}, [])


def test_a_table_without_a_good_row_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    gold = read(tmp_path / "gold.csv", "doc_id,labels\na\nb,L0,L1\n", labels="labels")
    reasons = [bad["reason"] for bad in gold.rejects]
    assert reasons == ["1 fields, the header has 2", "3 fields, the header has 2"]
    assert read(tmp_path / "gold.csv", "doc_id,labels\n", labels="labels").rows == 0


def test_what_stands_in_further_columns_rejects_nothing(tmp_path: Path) -> None:
    text = "id,labels,note,note\na,L0,x,y\n"
    assert read(tmp_path / "gold.csv", text).labels == {"a": [0]}
    with pytest.raises(CorpusError, match=r"gold\.csv: column 'labels' is there more than once"):
        read(tmp_path / "gold.csv", "id,labels,labels\na,L0,L1\n")
    late = pa.array([2**62], pa.timestamp("us"))  # beyond what a Python date can be
    table = pa.table({"id": ["a"], "labels": [["L0"]], "modified": late})
    storage.write_table(str(tmp_path / "gold.parquet"), table)
    gold = read_gold(GoldSource((str(tmp_path / "gold.parquet"),)), NAMES)
    assert (gold.labels, gold.rejects) == ({"a": [0]}, [])
