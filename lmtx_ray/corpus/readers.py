"""Raw rows from JSON lines, CSV, TSV, Parquet and text files, plain or gz/zst.

A reader yields (position, row) for good rows and (position, BadRow) for bad ones, position from 1;
it never stops at a bad row. What is wrong with a whole file raises CorpusError, and what is wrong
with the disk or the network StorageError.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa

from lmtx_ray.corpus.columns import check_columns
from lmtx_ray.corpus.delimited import read_csv, read_tsv
from lmtx_ray.corpus.lines import (
    MOST_LINE,
    MOST_RAW,
    UTF8,
    BadRow,
    CorpusError,
    Row,
    Span,
    Tally,
    read_text_lines,
)
from lmtx_ray.corpus.parquet import open_parquet, read_batches


def format_of(uri: str) -> str:
    """The format a file's name tells. Raises CorpusError for an unknown ending."""
    name = uri.removesuffix(".gz").removesuffix(".zst").lower()
    endings = {
        ".jsonl": "jsonl",
        ".json": "jsonl",
        ".ndjson": "jsonl",
        ".csv": "csv",
        ".tsv": "tsv",
        ".parquet": "parquet",
        ".txt": "text",
    }
    for ending, kind in endings.items():
        if name.endswith(ending):
            return kind
    raise CorpusError(f"{uri}: cannot tell the format from the name; known: {', '.join(endings)}")


def read_rows(
    uri: str,
    kind: str,
    required: Sequence[str],
    span: Span | None = None,
    etag: str = "",
    tally: Tally | None = None,
    encoding: str = UTF8,
) -> Iterator[tuple[int, Row | BadRow]]:
    """All rows of a file, or (JSON lines only) those that begin in a span of its bytes.

    Args:
        required: Columns that must be in the header of CSV, TSV and Parquet.
        etag: Version of an s3 object to read; any if empty.
        tally: Is told how many lines were read.
        encoding: Of lines of text that are not UTF-8.
    """
    if kind == "parquet":
        yield from _parquet(uri, required, etag)
    elif kind in {"csv", "tsv"}:
        yield from (read_csv if kind == "csv" else read_tsv)(uri, required, etag, encoding)
    elif kind == "text":
        yield from _text(uri, etag, encoding)
    else:
        yield from _json_lines(uri, span, etag, tally, encoding)


def _json_lines(
    uri: str, span: Span | None, etag: str, tally: Tally | None, encoding: str
) -> Iterator[tuple[int, Row | BadRow]]:
    for number, line in read_text_lines(uri, span, etag, tally, encoding):
        if isinstance(line, BadRow):
            yield number, line
        elif line.strip():
            yield number, _json_row(line)


def _json_row(line: str) -> Row | BadRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = " (lines that end in a lone carriage return?)" if "\r" in line else ""
        return BadRow(f"not JSON: {error}{hint}", line[:MOST_RAW])
    if not isinstance(row, dict):
        return BadRow(f"a JSON object is needed, not {type(row).__name__}", line[:MOST_RAW])
    return row


def _parquet(uri: str, required: Sequence[str], etag: str) -> Iterator[tuple[int, Row | BadRow]]:
    with open_parquet(uri, etag) as file:
        check_columns(uri, file.schema_arrow.names, required)
    number = 0
    for batch in read_batches(uri, etag=etag):
        for row in batch_rows(batch):
            number += 1
            yield number, row


def batch_rows(batch: pa.RecordBatch) -> list[Row | BadRow]:
    """A batch as rows; one that no Python value can hold (broken UTF-8, a date beyond its range)
    is bad."""
    try:
        rows: list[Row | BadRow] = batch.to_pylist()
        return rows
    except (ValueError, OverflowError, pa.ArrowException):
        if batch.num_rows == 1:
            return [_unreadable(batch)]
    return [row for place in range(batch.num_rows) for row in batch_rows(batch.slice(place, 1))]


def _unreadable(batch: pa.RecordBatch) -> BadRow:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.to_pylist()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            return BadRow(f"field {name!r} cannot be read: {error}")
    raise AssertionError("a row of readable fields is readable")


def _text(uri: str, etag: str, encoding: str) -> Iterator[tuple[int, Row | BadRow]]:
    """A plain text file is one document named by its file."""
    lines: list[str] = []
    size = 0
    for _, line in read_text_lines(uri, etag=etag, encoding=encoding):
        size += len(line) + 1 if isinstance(line, str) else 0
        if size > MOST_LINE:
            line = BadRow(f"a text of more than {MOST_LINE} characters")
        if isinstance(line, BadRow):
            yield 1, line
            return
        lines.append(line)
    yield 1, {"id": uri.rsplit("/", 1)[-1], "text": "\n".join(lines)}
