"""Raw rows from JSON lines, CSV, TSV, Parquet and text files, plain or gz/zst.

A reader yields (position, row) for good rows and (position, BadRow) for bad ones, position from 1;
it never stops at a bad row. What is wrong with a whole file raises CorpusError.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

from lmtx_ray import storage

MOST_RAW = 200  # characters of a bad row kept in rejects
Row = dict[str, Any]


class CorpusError(ValueError):
    """Input that cannot be read as a whole; the message names the file and the field."""


@dataclass(frozen=True)
class BadRow:
    """A row that goes to rejects."""

    reason: str
    raw: str = ""


def format_of(uri: str) -> str:
    """The format a file's name tells. Raises CorpusError for an unknown ending."""
    name = uri.removesuffix(".gz").removesuffix(".zst").lower()
    endings = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".csv": "csv",
               ".tsv": "tsv", ".parquet": "parquet", ".txt": "text"}  # fmt: skip
    for ending, kind in endings.items():
        if name.endswith(ending):
            return kind
    raise CorpusError(f"{uri}: cannot tell the format from the name; known: {', '.join(endings)}")


def read_rows(
    uri: str, kind: str, required: Sequence[str]
) -> Iterator[tuple[int, Row | BadRow]]:
    """All rows of a file. `required` columns must be in the header of CSV, TSV and Parquet."""
    if kind == "parquet":
        yield from _parquet(uri, required)
    elif kind in {"csv", "tsv"}:
        yield from _delimited(uri, "," if kind == "csv" else "\t", required)
    elif kind == "text":
        yield from _text(uri)
    else:
        yield from _json_lines(uri)


def _lines(uri: str) -> Iterator[tuple[int, bytes | BadRow]]:
    """Lines without their ends; a damaged compressed stream gives its readable lines, then one
    bad row."""
    number = 0
    with storage.open_input(uri) as raw:
        stream = _decompressed(uri, raw)
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line.rstrip(b"\r\n")
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            yield number + 1, BadRow(f"damaged compressed file, the rest is lost: {error}")


def _decompressed(uri: str, raw: Any) -> Any:
    if uri.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)
    if uri.endswith(".zst"):
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
    return raw


def _decoded(uri: str) -> Iterator[tuple[int, str | BadRow]]:
    for number, line in _lines(uri):
        if isinstance(line, BadRow):
            yield number, line
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            shown = line.decode("utf-8", "replace")[:MOST_RAW]
            yield number, BadRow(f"invalid UTF-8 at byte {error.start}", shown)
            continue
        yield number, BadRow("NUL character", text[:MOST_RAW]) if "\0" in text else text


def _json_lines(uri: str) -> Iterator[tuple[int, Row | BadRow]]:
    for number, line in _decoded(uri):
        if isinstance(line, BadRow):
            yield number, line
        elif line.strip():
            yield number, _json_row(line)


def _json_row(line: str) -> Row | BadRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(f"not JSON: {error}", line[:MOST_RAW])
    if not isinstance(row, dict):
        return BadRow(f"a JSON object is needed, not {type(row).__name__}", line[:MOST_RAW])
    return row


def _delimited(
    uri: str, delimiter: str, required: Sequence[str]
) -> Iterator[tuple[int, Row | BadRow]]:
    """CSV with a header; quoted fields may span lines, and a position is that of the last line."""
    bad: list[tuple[int, BadRow]] = []

    def good_lines() -> Iterator[str]:
        for number, line in _decoded(uri):
            if isinstance(line, BadRow):
                bad.append((number, line))
            else:
                yield line + "\n"

    reader = csv.reader(good_lines(), delimiter=delimiter, strict=True)
    header = next(reader, None)
    if header is None:
        raise CorpusError(f"{uri}: no header line")
    check_columns(uri, header, required)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield reader.line_num + len(bad), BadRow(f"not {delimiter!r}-separated: {error}")
            continue
        yield from bad
        position = reader.line_num + len(bad)
        bad_count = len(bad)
        if cells is None:
            return
        bad[:bad_count] = []
        if len(cells) != len(header):
            reason = f"{len(cells)} fields, the header has {len(header)}"
            yield position, BadRow(reason, delimiter.join(cells)[:MOST_RAW])
        else:
            yield position, dict(zip(header, cells, strict=True))


def _parquet(uri: str, required: Sequence[str]) -> Iterator[tuple[int, Row | BadRow]]:
    table = storage.read_table(uri)
    check_columns(uri, table.column_names, required)
    number = 0
    for batch in table.to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _text(uri: str) -> Iterator[tuple[int, Row | BadRow]]:
    """A plain text file is one document named by its file."""
    parts = list(_decoded(uri))
    damaged = [part for _, part in parts if isinstance(part, BadRow)]
    name = uri.rsplit("/", 1)[-1]
    if damaged:
        yield 1, damaged[0]
    else:
        yield 1, {"id": name, "text": "\n".join(str(part) for _, part in parts)}


def check_columns(uri: str, header: Sequence[str], required: Sequence[str]) -> None:
    """CorpusError naming the first absent column, with near matches."""
    for column in required:
        if column not in header:
            near = difflib.get_close_matches(column, header, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has: {', '.join(header)}"
            raise CorpusError(f"{uri}: no column {column!r}; {hint}")
