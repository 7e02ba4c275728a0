"""Every row read is kept or rejected with file, position and reason."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.text_keys import document_text
from tests.prepared import Prepared, prepare_corpus

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "biomedical"
LABELS = b'{"uid": "L0", "title": "zero"}\n{"uid": "L1", "title": "one"}\n'


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def document(number: int, **more: object) -> dict[str, object]:
    return {"uid": f"d{number}", "title": f"Title {number}", "content": "words", **more}


def prepare(folder: Path, name: str, data: bytes, **settings: object) -> Prepared:
    (folder / name).write_bytes(data)
    (folder / "labels.jsonl").write_bytes(LABELS)
    values = {"held_aside": 0, "labels": str(folder / "labels.jsonl"), **settings}
    return prepare_corpus(folder, CorpusConfig(documents=(str(folder / name),), **values))


BAD_LINES = {
    "invalid UTF-8": b'{"uid": "x", "content": "\xff"}\n',
    "NUL": b'{"uid": "x", "content": "a\\u0000b"}\n',
    "lone surrogate": b'{"uid": "x", "content": "\\ud800"}\n',
    "empty text": lines({"uid": "x", "title": " ", "content": "\n"}),
    "duplicate id 'd1'": lines(document(1)),
    "missing field 'uid'": lines({"content": "no id"}),
    "missing field 'content'": lines({"uid": "x"}),
    "did you mean ?uid?": lines({"\ud800uid": "x", "content": "y"}),
    "'content' is list": lines({"uid": "x", "content": ["a"]}),
    "not JSON": b'{"uid": "x", \n',
    "a JSON object is needed": b"[1]\n",
}


@pytest.mark.parametrize(("reason", "line"), BAD_LINES.items())
def test_a_bad_line_is_rejected_and_later_rows_are_read(
    tmp_path: Path, reason: str, line: bytes
) -> None:
    corpus = prepare(tmp_path, "d.jsonl", lines(document(1)) + line + lines(document(2)))
    (reject,) = corpus.rejects.to_pylist()
    assert corpus.documents["doc_id"].to_pylist() == ["d1", "d2"]
    assert reason in reject["reason"]
    assert (reject["source"], reject["position"]) == (str(tmp_path / "d.jsonl"), 2)


def test_a_truncated_gzip_keeps_the_rows_before_the_break(tmp_path: Path) -> None:
    rows = [document(number, content=str(number) * 99) for number in range(2000)]
    whole = gzip.compress(lines(*rows))
    corpus = prepare(tmp_path, "d.jsonl.gz", whole[: len(whole) // 2])
    kept = corpus.documents["doc_id"].to_pylist()
    assert 0 < len(kept) < 2000
    assert kept == [f"d{number}" for number in range(len(kept))]
    (reject,) = corpus.rejects.to_pylist()
    assert "damaged compressed file" in reject["reason"]
    assert reject["position"] == len(kept) + 1


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.csv.zst", "d.parquet", "d.jsonl.zst"])
def test_every_format_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    rows = [document(1), document(2)]
    separator = "\t" if ".tsv" in name else ","
    table = [list(rows[0]), *[list(map(str, row.values())) for row in rows]]
    data = "\n".join(separator.join(cells) for cells in table).encode()
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
        data = (tmp_path / name).read_bytes()
    data = lines(*rows) if ".jsonl" in name else data
    data = zstandard.compress(data) if name.endswith(".zst") else data
    corpus = prepare(tmp_path, name, data)
    assert corpus.documents.to_pylist() == [
        {"doc_id": f"d{n}", "title": f"Title {n}", "text": "words", "split": "train"}
        for n in (1, 2)
    ]


def test_a_ragged_csv_row_is_rejected(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, "d.csv", b"uid,title,content\na,b\nc,d,e\n")
    assert corpus.documents["doc_id"].to_pylist() == ["c"]
    assert corpus.rejects["reason"].to_pylist() == ["2 fields, the header has 3"]
    assert corpus.rejects["position"].to_pylist() == [2]


def test_csv_positions_count_the_bad_lines_before_them(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, "d.csv", b"uid,content\na,b\n\xff,x\nc,d\ne,f,g\n\nh,i\n")
    assert corpus.documents["doc_id"].to_pylist() == ["a", "c", "h"]
    assert corpus.rejects["position"].to_pylist() == [3, 5]


def test_a_truncated_zst_says_so(tmp_path: Path) -> None:
    rows = [
        document(number, content=random.Random(number).randbytes(200).hex())
        for number in range(2000)
    ]
    whole = zstandard.compress(lines(*rows))
    corpus = prepare(tmp_path, "d.jsonl.zst", whole[: len(whole) // 2])
    assert 0 < corpus.documents.num_rows < 2000
    assert "damaged compressed file" in corpus.rejects["reason"][0].as_py()


def test_a_header_without_the_mapped_column_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"d\.csv: no column 'abstrct'; did you mean abstract"):
        prepare(tmp_path, "d.csv", b"uid,abstract\na,b\n", columns={"text": "abstrct"})


def test_a_test_file_without_a_readable_document_is_an_error_with_its_first_reason(
    tmp_path: Path,
) -> None:
    test = tmp_path / "test.jsonl"
    test.write_bytes(lines(document(7, target_ind=["heart"]), document(8)))
    said = (
        r"test\.jsonl: no readable document with gold labels; 2 rows were rejected: .*test\.jsonl "
    )
    said += r"row 1: field 'target_ind' needs a list of label indices: 'heart' is no label index"
    with pytest.raises(CorpusError, match=said):
        prepare(tmp_path, "d.jsonl", lines(document(1)), test=str(test))


def test_gold_outside_the_label_set_is_rejected(tmp_path: Path) -> None:
    test = tmp_path / "test.jsonl"
    test.write_bytes(
        lines(document(7, target_ind=[1, 0]), document(8, target_ind=[2]), document(9))
    )
    corpus = prepare(tmp_path, "d.jsonl", lines(document(1)), test=str(test))
    assert corpus.test.gold.to_pylist() == [{"doc_id": "d7", "label_ids": [0, 1]}]
    reasons = corpus.test.rejects["reason"].to_pylist()
    assert "label index 2 of 2" in reasons[0]
    assert "'target_ind' needs a list" in reasons[1]
    assert corpus.rejects.num_rows == 0
    assert corpus.documents["split"].to_pylist() == ["train"]
    assert corpus.test.documents["split"].to_pylist() == ["test"]


def test_a_test_document_may_not_be_one_of_the_corpus(tmp_path: Path) -> None:
    test = tmp_path / "test.jsonl"
    test.write_bytes(lines(document(1, target_ind=[1]), document(7, target_ind=[1])))
    corpus = prepare(tmp_path, "d.jsonl", lines(document(1)), test=str(test))
    assert corpus.test.documents["doc_id"].to_pylist() == ["d7"]
    assert "duplicate id 'd1'" in corpus.test.rejects["reason"][0].as_py()
    assert prepare(tmp_path, "d.jsonl", lines(document(1))).test is None


def test_documents_of_one_text_come_one_after_another(tmp_path: Path) -> None:
    rows = [document(n, title=f"Title {n % 3}") for n in range(7)]
    corpus = prepare(tmp_path, "d.jsonl", lines(*rows))
    assert corpus.documents["doc_id"].to_pylist() == ["d0", "d3", "d6", "d1", "d4", "d2", "d5"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (b"", "no labels"),
        (LABELS + LABELS, "row 3: duplicate key 'L0'"),
        (b'{"uid": "a", "title": " "}\n', "row 1: field 'title'"),
        (b"x\n", "row 1: not JSON"),
    ],
)
def test_a_bad_label_file_is_an_error_because_places_are_ids(
    tmp_path: Path, labels: bytes, message: str
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(labels)
    with pytest.raises(CorpusError, match=message):
        prepare(tmp_path, "d.jsonl", lines(document(1)), labels=str(tmp_path / "bad.jsonl"))


def test_held_aside_depends_on_ids_not_on_order(tmp_path: Path) -> None:
    rows = [document(number) for number in range(50)]
    aside = []
    for order in (rows, rows[::-1]):
        corpus = prepare(tmp_path, "d.jsonl", lines(*order), held_aside=10)
        table = corpus.documents.to_pylist()
        aside.append({row["doc_id"] for row in table if row["split"] == "held_aside"})
    assert aside[0] == aside[1]
    assert len(aside[0]) == 10


def test_document_text_joins_once_and_squeezes_spaces() -> None:
    assert document_text("A  title", "Some\n text") == "A title. Some text"
    assert document_text("Why?", "Because") == "Why? Because"
    assert document_text(None, "only") == "only"
    assert document_text("e\u0301", "") == "\u00e9"


def test_the_sample_is_what_its_readme_says(tmp_path: Path) -> None:
    corpus = prepare_corpus(
        tmp_path,
        CorpusConfig(
            documents=(str(SAMPLE / "documents.jsonl.gz"),),
            labels=str(SAMPLE / "labels.jsonl.gz"),
            test=str(SAMPLE / "test.jsonl.gz"),
        ),
    )
    splits = corpus.documents["split"].to_pylist()
    counts = {split: splits.count(split) for split in set(splits)}
    assert counts == {"train": 2148, "held_aside": 250}
    test = corpus.test
    tables = (corpus.labels, corpus.rejects, test.documents, test.gold, test.rejects)
    assert [table.num_rows for table in tables] == [29351, 0, 750, 750, 0]
    with gzip.open(SAMPLE / "documents.jsonl.gz", "rt") as file:
        assert {name for line in file for name in json.loads(line)} == {"uid", "title", "content"}
    size = sum(path.stat().st_size for path in SAMPLE.glob("*.jsonl.gz"))
    assert size <= 3_000_000
