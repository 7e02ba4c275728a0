"""`lmtx evaluate`: any tags against any gold, and a clear word where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.batch.formats import TagWriter
from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.cli.main import main
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage

KEYS = [["L0", "L1"], ["L2", "L3"], [], ["L1"]]
TEXTS = {"L0": "Heart", "L1": "Lung", "L2": "Liver, Diseases", "L3": "Skin", "L4": "Pain"}
PROBABILITIES = [[0.9, 0.4], [0.8, 0.3], [], [0.2]]
GOLD = "id,label\n1,Heart\n1,L1\n2,L3\n3,L4\n9,Heart\n"


def tags_file(path: Path) -> str:
    """Tags of four documents in the format that the name tells."""
    table = {
        "doc_id": ["1", "2", "3", "4"],
        "label_keys": KEYS,
        "labels": [[TEXTS[key] for key in keys] for keys in KEYS],
        "scores": PROBABILITIES,
        "probabilities": PROBABILITIES,
        "reason": [""] * 4,
    }
    tags = schemas.conform(pa.table(table, schema=schemas.TAGS), schemas.TAGS)
    with path.open("wb") as file:
        writer = TagWriter(file, path.suffix[1:], {})
        writer.write(tags, {})
        writer.close()
    return str(path)


def lmtx(capsys, *arguments: str) -> tuple[int, dict, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, json.loads(out or "{}"), err


@pytest.fixture
def gold(tmp_path: Path) -> str:
    (tmp_path / "gold.csv").write_text(GOLD)
    return str(tmp_path / "gold.csv")


@pytest.fixture
def labels(tmp_path: Path) -> str:
    rows = "".join(f'{key},"{text}"\n' for key, text in TEXTS.items())
    (tmp_path / "labels.csv").write_text(f"key,text\n{rows}")
    return str(tmp_path / "labels.csv")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_any_file_of_tags_meets_any_gold(tmp_path, capsys, gold, labels, kind: str) -> None:
    tags = tags_file(tmp_path / f"tags.{kind}")
    code, found, text = lmtx(capsys, "evaluate", "--tags", tags, "--gold", gold, "--labels", labels)
    assert code == 0
    assert (found["matched"], found["documents"]) == (3, 4)
    assert found["P@1"] == pytest.approx(1 / 4)
    assert found["only_gold"] == {"documents": 1, "examples": ["9"]}
    assert found["only_tags"] == {"documents": 1, "examples": ["4"]}
    at = {entry["threshold"]: entry for entry in found["thresholds"]}
    assert (at[0.1]["precision"], at[0.1]["recall"]) == (0.75, 0.6)
    assert (at[0.5]["precision"], at[0.5]["recall"]) == (0.5, 0.2)
    assert at[0.9]["precision"] is None  # 0.9 as float32 is a little less
    assert at[0.5]["macro_precision"] == pytest.approx(1 / 4)
    assert "≥ 0.5" in text
    assert "1 document with gold and no tags: counted as wrong (such as '9')" in text


def test_a_row_for_each_tag_is_read_as_well(tmp_path, capsys, gold) -> None:
    rows = "Nr,label_key,label,probability\n1,L0,Heart,0.9\n1,L1,Lung,0.4\n2,L2,x,0.8\n3,,,\n"
    (tmp_path / "long.csv").write_text(rows)
    code, found, _ = lmtx(
        capsys, "evaluate", "--tags", str(tmp_path / "long.csv"), "--gold", gold, "--matched-only"
    )
    assert (code, found["matched"], found["documents"]) == (0, 3, 3)
    assert found["P@1"] == pytest.approx(1 / 3, abs=1e-6)


def test_what_one_row_of_a_tag_lacks_is_null_in_its_place(tmp_path) -> None:
    rows = [
        {"doc": "a", "label": "L1"},
        {"doc": "a", "label": "L2", "probability": 0.75},
        {"doc": "b", "label": "L3", "probability": 0.5, "score": 2},
    ]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = read_tag_file(str(tmp_path / "long.jsonl")).to_pylist()
    assert (first["probabilities"], first["scores"]) == ([None, 0.75], [None, None])
    assert (second["probabilities"], second["scores"]) == ([0.5], [2.0])


def test_ids_of_labels_are_read_to_the_last_digit(tmp_path) -> None:
    rows = [[1, 2.0, 9007199254740993], "3.00|4.0"]
    lines = (json.dumps({"id": str(n), "label_ids": row}) for n, row in enumerate(rows))
    (tmp_path / "tags.jsonl").write_text("\n".join(lines))
    found = read_tag_file(str(tmp_path / "tags.jsonl"))["label_ids"].to_pylist()
    assert found == [[1, 2, 9007199254740993], [3, 4]]


def test_one_tag_without_numbers_has_an_empty_cell_for_each(tmp_path) -> None:
    (tmp_path / "tags.csv").write_text("id,label_keys,scores,probabilities\n1,L0,,0.5\n2,,,\n")
    first, second = read_tag_file(str(tmp_path / "tags.csv")).to_pylist()
    assert (first["scores"], first["probabilities"]) == ([None], [0.5])
    assert (second["label_keys"], second["scores"]) == ([], [])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"id": "1", "label_keys": 5}', "label_keys: 5 is no list"),
        ('{"id": "1", "label_keys": {"L1": 1}}', "label_keys: .* is no list"),
        ('{"id": "1", "label_keys": [[1]]}', "label_keys: a value is list"),
        ('{"id": "1", "label_ids": [1e400]}', "label_ids: .* no whole numbers"),
        ('{"id": "1", "label_ids": [1e30]}', "label_ids: .* no whole numbers"),
        ('{"id": "1", "label_ids": [99999999999999999999]}', "label_ids: .* no whole numbers"),
        ('{"id": "1", "label_ids": [1.7]}', "label_ids: .* no whole numbers"),
        ('{"id": "1", "label_ids": [1], "scores": [' + "9" * 400 + "]}", "scores: .* no numbers"),
        ('{"id": "1", "label_keys": ["L1", "L2"], "scores": [1]}', "scores: 1 for 2 labels"),
        ('{"id": ["1"], "label_keys": ["L1"]}', "field 'id' is list"),
    ],
)
def test_a_row_of_tags_that_cannot_be_read_is_named(tmp_path, row: str, said: str) -> None:
    (tmp_path / "tags.jsonl").write_text(row)
    with pytest.raises(CorpusError, match=rf"tags\.jsonl row 1: {said}"):
        read_tag_file(str(tmp_path / "tags.jsonl"))


def test_labels_count_in_an_annotated_corpus(tmp_path, capsys, gold) -> None:
    tags = tags_file(tmp_path / "tags.csv")
    (tmp_path / "more.csv").write_text("id,label\n" + "".join(f"m{n},Heart\n" for n in range(50)))
    more = ("--counts-from", str(tmp_path / "more.csv"))
    _, found, _ = lmtx(capsys, "evaluate", "--tags", tags, "--gold", gold, *more)
    assert 0 < found["PSP@1"] < found["P@1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,label\nx,Heart\ny,L1\n",
            "no document is both in the tags and in the gold: "
            "tags have '1', '2', '3', … (4), gold has 'x', 'y' (2)",
        ),
        (
            "id,label\n1,Hart\n2,odd\n",
            "no gold label in 2 rows; row 2: 'Hart' is no key and no text of a label; "
            "did you mean 'Heart' (L0)?",
        ),
        (
            "number,label,more\n1,L0,x\n",
            "which column holds document ids? it has: 'number', 'label', 'more'",
        ),
    ],
)
def test_what_does_not_fit_fails_and_says_why(
    tmp_path, capsys, caplog, labels, text: str, message: str
) -> None:
    tags = tags_file(tmp_path / "tags.csv")
    (tmp_path / "bad.csv").write_text(text)
    more = ("--gold", str(tmp_path / "bad.csv"), "--labels", labels)
    code, found, _ = lmtx(capsys, "evaluate", "--tags", tags, *more)
    assert (code, found) == (1, {})
    assert message in caplog.text


def test_gold_and_labels_of_an_office_are_read_by_their_encoding(tmp_path, capsys, caplog) -> None:
    (tmp_path / "tags.csv").write_text("id,label_key\n1,L0\n")
    (tmp_path / "gold.csv").write_bytes(
        "Überschrift;id;labels\nx;1;Herzschwäche\n".encode("cp1252")
    )
    (tmp_path / "labels.csv").write_bytes("key,text\nL0,Herzschwäche\n".encode("cp1252"))
    files = (f"--{name}={tmp_path / name}.csv" for name in ("tags", "gold", "labels"))
    asked = ("evaluate", *files)
    assert lmtx(capsys, *asked)[0] == 1
    assert "--encoding" in caplog.text
    code, found, _ = lmtx(capsys, *asked, "--encoding", "cp1252")
    assert (code, found["P@1"]) == (0, 1.0)


def test_all_rejects_are_written_where_they_are_wanted(tmp_path, capsys, labels) -> None:
    tags = tags_file(tmp_path / "tags.csv")
    lines = ["id,label", "1,Heart", *(f"2,odd {n}" for n in range(5))]
    (tmp_path / "gold.csv").write_text("\n".join(lines))
    more = ("--gold", str(tmp_path / "gold.csv"), "--labels", labels)
    out = tmp_path / "rejects.csv"
    code, found, text = lmtx(capsys, "evaluate", "--tags", tags, *more, "--rejects", str(out))
    assert (code, found["gold"]["rejected"], len(found["gold"]["rejects"])) == (0, 5, 3)
    assert "rejected of the gold, labels or whole rows: 5" in text
    rows = out.read_text().splitlines()
    assert len(rows) == 6
    assert "gold.csv,3," in rows[1]


def test_gold_beside_the_documents_and_rankings_by_ids(tmp_path, capsys, labels) -> None:
    rankings = {"doc_id": ["1", "2"], "label_ids": [[0], [3]], "scores": [[0.5], [0.5]]}
    table = schemas.conform(pa.table(rankings), schemas.RANKINGS)
    storage.write_table(str(tmp_path / "r.parquet"), table)
    (tmp_path / "docs.csv").write_text("id,title,text,tags\n1,t,x,Heart;Lung\n2,t,x,Skin\n")
    arguments = ("--tags", str(tmp_path / "r.parquet"), "--gold", str(tmp_path / "docs.csv"))
    assert lmtx(capsys, "evaluate", *arguments)[0] == 1
    code, found, _ = lmtx(capsys, "evaluate", *arguments, "--labels", labels)
    assert (code, found["P@1"], found["gold"]["labels"]) == (0, 1.0, 3)
