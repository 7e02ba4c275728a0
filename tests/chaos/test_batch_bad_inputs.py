"""Bad inputs through the whole batch job, as a user would run it: no crash, every rejection with
file, position and reason, every good row tagged."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lmtx_ray.batch.outputs import read_rejects, read_tags
from lmtx_ray.cli.main import main
from tests.tiny import TOPICS


def row(number: int) -> dict:
    return {"id": f"d{number}", "text": f"{TOPICS[number % 8]} disease"}


def lines(*rows: dict) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in rows).encode()


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def broken_page(table: pa.Table) -> bytes:
    data = bytearray(parquet(table, compression="none", use_dictionary=False))
    data[4:40] = b"\xff" * 36
    return bytes(data)


def extension(name: str) -> bytes:
    """A column that says it is of a registered type, as Ray's tensors and pickles do."""
    metadata = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": b"cos\nsystem"}
    field = pa.field("text", pa.string(), metadata=metadata)
    return parquet(pa.table([["d1"], ["heart"]], schema=pa.schema([("id", pa.string()), field])))


GOOD = lines(row(1), row(2))
TABLE = pa.Table.from_pylist([row(1), row(2)])
RAW = pa.table({"id": ["d1", "d2"], "text": pa.array([b"\xff", b"heart"], pa.binary())})
NUMBERS = pa.table(
    {
        "id": pa.array([Decimal(1), Decimal("2.00")], pa.decimal128(38, 2)),
        "text": pa.array([b"heart", b"lung"], pa.binary()),
        "far": pa.array([2**60, 0], pa.timestamp("us")),
    }
)
LONG = lines(*({**row(n), "n": random.Random(n).randbytes(300).hex()} for n in range(900)))
HALF_GZ, HALF_ZST = gzip.compress(LONG), zstandard.compress(LONG)
# name -> (file, content, ids tagged (None: some), (position, part of the reason) of the rejects)
CASES: dict[str, tuple[str, bytes, list[str] | None, list[tuple[int | None, str]]]] = {
    "invalid UTF-8": (
        "a.jsonl",
        b'{"id":"x","text":"\xff"}\n' + GOOD,
        ["d1", "d2"],
        [(1, "invalid UTF-8 at byte 18")],
    ),
    "NUL": ("a.jsonl", GOOD + b'{"id":"x","text":"a\0b"}\n', ["d1", "d2"], [(3, "NUL")]),
    "escaped NUL": (
        "a.jsonl",
        GOOD + b'{"id":"x","text":"a\\u0000"}\n',
        ["d1", "d2"],
        [(3, "NUL character in field 'text'")],
    ),
    "lone surrogate": (
        "a.jsonl",
        b'{"id":"x","text":"\\ud800"}\n' + GOOD,
        ["d1", "d2"],
        [(1, "lone surrogate in field 'text'")],
    ),
    "BOM": ("a.jsonl", b"\xef\xbb\xbf" + GOOD, ["d1", "d2"], []),
    "BOM in CSV": ("a.csv", b"\xef\xbb\xbfid,text\nd1,heart\n", ["d1"], []),
    "mixed newlines": ("a.jsonl", GOOD.replace(b"\n", b"\r\n", 1) + b"\n\r\n", ["d1", "d2"], []),
    "lone CR in CSV": ("a.csv", b"id,text\rd1,heart\r", [], [(0, "its header: not ','-separated")]),
    "huge line": (
        "a.jsonl",
        b'{"id":"x","text":"' + b"a" * (17 << 20) + b'"}\n' + GOOD,
        ["d1", "d2"],
        [(1, "a line of more than")],
    ),
    "deep JSON": (
        "a.jsonl",
        b'{"id":' + b"[" * 100_000 + b"\n" + GOOD,
        ["d1", "d2"],
        [(1, "not JSON")],
    ),
    "not an object": (
        "a.jsonl",
        b"[1]\n7\n" + GOOD,
        ["d1", "d2"],
        [(1, "a JSON object is needed"), (2, "a JSON object is needed")],
    ),
    "wrong types": (
        "a.jsonl",
        lines({"id": True, "text": "x"}, {"id": "x", "text": [1]}) + GOOD,
        ["d1", "d2"],
        [(1, "'id' is bool"), (2, "'text' is list")],
    ),
    "missing fields": (
        "a.jsonl",
        lines({"text": "x"}, {"id": "x"}) + GOOD,
        ["d1", "d2"],
        [(1, "missing field"), (2, "missing field")],
    ),
    "empty text": (
        "a.jsonl",
        lines({"id": "x", "text": " \n"}) + GOOD,
        ["d1", "d2"],
        [(1, "empty text")],
    ),
    "duplicate ids": (
        "a.jsonl",
        GOOD + GOOD,
        ["d1", "d2"],
        [(3, "duplicate id 'd1', first in"), (4, "duplicate id 'd2', first in")],
    ),
    "ragged CSV": ("a.csv", b"id,text\nd1,a,b\nd2,heart\n", ["d2"], [(2, "3 fields")]),
    "open quote in CSV": (
        "a.csv",
        b'id,text\nx,"eye\nd1,heart\nd2,lung\n',
        ["d1", "d2"],
        [(2, "a quotation mark is never closed")],
    ),
    "open quote in TSV": (
        "a.tsv",
        b'id\ttext\nd1\t"heart\nd2\tlung "\nd3\teye\n',
        ["d1", "d2", "d3"],
        [],
    ),
    "no header": ("a.csv", b"", [], [(0, "no header line")]),
    "truncated gzip": (
        "a.jsonl.gz",
        HALF_GZ[: len(HALF_GZ) // 2],
        None,
        [(None, "damaged compressed file")],
    ),
    "truncated zstd": (
        "a.jsonl.zst",
        HALF_ZST[: len(HALF_ZST) // 2],
        None,
        [(None, "damaged compressed file")],
    ),
    "not gzip": ("a.jsonl.gz", GOOD, [], [(1, "damaged compressed file")]),
    "gzip bomb": (
        "a.jsonl.gz",
        gzip.compress(GOOD + b" " * (160 << 20), 1),
        ["d1", "d2"],
        [(3, "grows to more than 200 times")],
    ),
    "truncated Parquet": ("a.parquet", parquet(TABLE)[:-20], [], [(0, "not a readable Parquet")]),
    "bad magic": ("a.parquet", GOOD, [], [(0, "not a readable Parquet")]),
    "broken page": ("a.parquet", broken_page(TABLE), [], [(0, "not a readable Parquet")]),
    "bytes for text": (
        "a.parquet",
        parquet(RAW),
        ["d2"],
        [(1, "'text' is bytes that are not UTF-8 (at byte 0)")],
    ),
    "numbers for ids": ("a.parquet", parquet(NUMBERS), ["1", "2"], []),
    "JSON array": (
        "a.json",
        json.dumps([row(1), 7, row(2)], indent=1).encode(),
        ["d1", "d2"],
        [(2, "object is")],
    ),
    "gzip without its ending": ("a.jsonl", gzip.compress(GOOD), ["d1", "d2"], []),
    "capitals": ("A.CSV", b"ID,Text\nd1,heart\n", ["d1"], []),
    "UTF-16": ("a.csv", "\ufeffid,text\nd1,heart\n".encode("utf-16-le"), ["d1"], []),
    "no header line": ("a.tsv", b"d1\theart\nd2\tlung\n", [], [(0, "is there no header line?")]),
    "other program's file": ("a.key", b"heart\n", [], [(0, "cannot tell the format")]),
    "name with a line feed": ("a\nb.jsonl", GOOD, [], [(0, "control characters")]),
    "nothing to see": ("a.jsonl", lines({"id": "x", "text": "\u200b"}), [], [(1, "empty text")]),
    "extension type": ("a.parquet", extension("ray.data.arrow_tensor"), [], [(0, "refused")]),
    "pickled objects": (
        "a.parquet",
        extension("ray.data.arrow_pickled_object"),
        [],
        [(0, "refused")],
    ),
    "unknown ending": ("a.xlsx", b"PK", [], [(0, "cannot tell the format")]),
    "wrong ending": ("a.jsonl", parquet(TABLE), [], [(None, "")]),
    "empty file": ("a.jsonl", b"", [], []),
}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A folder with one good file beside what a test adds."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/z.jsonl").write_bytes(lines({**row(0), "id": "z0"}, {**row(1), "id": "z1"}))
    return tmp_path / "in"


def tag(bundle: str, source: Path, *more: str) -> int:
    return main(
        [
            "tag",
            "--bundle",
            bundle,
            "--input",
            str(source),
            "--output",
            str(source.parent / "out"),
            *more,
        ]
    )


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_listed_and_good_rows_are_tagged(bundle, source: Path, case: str) -> None:
    name, data, ids, expected = CASES[case]
    (source / name).write_bytes(data)
    assert tag(bundle, source) == 0
    tagged = read_tags(str(source.parent / "out"))["doc_id"].to_pylist()
    assert tagged[-2:] == ["z0", "z1"]
    if ids is None:
        assert tagged[:-2] == [f"d{n}" for n in range(len(tagged) - 2)]
        assert len(tagged) > 2
    else:
        assert tagged[:-2] == ids
    rejects = read_rejects(str(source.parent / "out")).to_pylist()
    assert {one["source"] for one in rejects} <= {str(source / name)}
    for one, (position, reason) in zip(rejects, expected, strict=case != "wrong ending"):
        assert reason in one["reason"]
        assert position in (None, one["position"])


def test_ids_repeated_across_files_name_the_first(bundle, source: Path) -> None:
    (source / "a.jsonl").write_bytes(GOOD)
    (source / "b.jsonl").write_bytes(lines(row(3), row(2)))
    assert tag(bundle, source, "--unit-bytes", "80") == 0
    (reject,) = read_rejects(str(source.parent / "out")).to_pylist()
    assert (reject["source"], reject["position"]) == (f"{source}/b.jsonl", 2)
    assert reject["reason"] == f"duplicate id 'd2', first in {source}/a.jsonl row 2"


def test_a_mapped_column_that_one_file_lacks_rejects_that_file(bundle, source: Path) -> None:
    (source / "z.jsonl").unlink()
    (source / "a.csv").write_bytes(b"id,body\nd1,heart\n")
    (source / "b.csv").write_bytes(b"id,bodi\nd2,heart\n")
    assert tag(bundle, source, "--text-field", "body") == 0
    (reject,) = read_rejects(str(source.parent / "out")).to_pylist()
    assert reject["reason"] == "no column 'body'; did you mean bodi?"
    assert reject["source"] == f"{source}/b.csv"


def test_inputs_without_a_good_row_are_an_error(bundle, source: Path, caplog) -> None:
    (source / "z.jsonl").write_bytes(b"nothing good\n")
    assert tag(bundle, source) == 1
    assert f"{source}/z.jsonl row 1: not JSON" in caplog.text
    assert not (source.parent / "out/MANIFEST.json").exists()


def test_a_file_that_may_not_be_read_is_an_error_not_bad_data(
    bundle, source: Path, caplog, monkeypatch
) -> None:
    plain = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "a.jsonl":
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *args, **kwargs)

    (source / "a.jsonl").write_bytes(GOOD)
    monkeypatch.setattr(Path, "open", refuse)
    assert tag(bundle, source) == 1
    assert f"{source}/a.jsonl: Permission denied" in caplog.text
