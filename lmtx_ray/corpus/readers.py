"""Raw rows from JSON lines, CSV, TSV, Parquet and text files, plain or gz/zst.

A reader yields (position, row) for good rows and (position, BadRow) for bad ones, position from 1;
it never stops at a bad row. What is wrong with a whole file raises CorpusError, and what is wrong
with the disk or the network StorageError.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus.columns import IDS, Wanted, check_columns, names_in
from lmtx_ray.corpus.delimited import header_of, read_delimited
from lmtx_ray.corpus.json_values import (
    MOST_DEPTH,
    are_values,
    is_deep,
    may_be_values,
    read_head,
    read_values,
)
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
from lmtx_ray.corpus.parquet import column_names, open_parquet, read_batches
from lmtx_ray.io.plain_json import json_text

ENDINGS = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".raw.txt": "lines",
    ".txt": "text",
}
RDF = {  # what only an import of labels reads: ending -> format of rdflib
    ".ttl": "turtle",
    ".n3": "n3",
    ".nt": "nt",
    ".rdf": "xml",
    ".owl": "xml",
    ".skos": "xml",
    ".xml": "xml",
    ".jsonld": "json-ld",
    ".json-ld": "json-ld",
}
LOOKED_AT = 200  # rows of JSON lines whose fields are taken for the file's columns


@dataclass(frozen=True)
class How:
    """How rows are read: `wanted` columns (None: all), of a text in some encoding. `name` is the id
    of a document that is a file of its own, the last part of the file's name if empty; `given`
    columns need not be in a header."""

    wanted: Wanted | None = None
    encoding: str = UTF8
    name: str = ""
    given: frozenset[str] = frozenset()


def format_of(uri: str) -> str:
    """The format a file's name tells. Raises CorpusError for an unknown ending."""
    name = uri.lower().removesuffix(".gz").removesuffix(".zst")
    for ending, kind in ENDINGS.items():
        if name.endswith(ending):
            return kind
    if name.endswith(tuple(RDF)):
        raise CorpusError(
            f"{uri}: RDF is not read here; of SKOS type: lmtx labels import {uri} labels.parquet"
        )
    known = f"{', '.join(ENDINGS)}, but for .parquet also with .gz or .zst behind"
    raise CorpusError(f"{uri}: cannot tell the format from the name; known: {known}")


def read_rows(
    uri: str,
    kind: str,
    span: Span | None = None,
    etag: str = "",
    tally: Tally | None = None,
    how: How | None = None,
) -> Iterator[tuple[int, Row | BadRow]]:
    """All rows of a file, or (JSON lines only) those that begin in a span of its bytes.

    Args:
        etag: Version of an s3 object to read; any if empty.
        tally: Is told how many lines were read.
    """
    how = how or How()
    wanted = how.wanted or Wanted(every=True)
    if kind == "parquet":
        yield from _parquet(uri, wanted, etag)
    elif kind in {"csv", "tsv"}:
        lines = read_text_lines(uri, None, etag, tally, how.encoding)
        yield from read_delimited(uri, kind, lines, wanted, how.given)
    elif kind == "text":
        yield from _text(uri, etag, how)
    elif kind == "lines":
        yield from _rows_of_lines(uri, etag, tally, how)
    elif span is None and may_be_values(uri):
        yield from _json(uri, etag, tally, how)
    else:
        yield from _json_lines(uri, span, etag, tally, how)


def columns_of(uri: str, kind: str, encoding: str = UTF8, rows: int = LOOKED_AT) -> list[str]:
    """Names of a file's columns; of JSON lines those of its first `rows`, none where no row can be
    read. Raises CorpusError for a table without a header."""
    if kind == "parquet":
        with open_parquet(uri) as file:
            return column_names(file)
    if kind in {"csv", "tsv"}:
        return header_of(uri, kind, read_text_lines(uri, encoding=encoding))
    found = (row for _, row in read_rows(uri, kind, how=How(encoding=encoding)))
    first = islice((row for row in found if not isinstance(row, BadRow)), rows)
    return list(dict.fromkeys(name for row in first for name in row))


def _json(uri: str, etag: str, tally: Tally | None, how: How) -> Iterator[tuple[int, Row | BadRow]]:
    """JSON lines, or an array, or one object over several lines: a document of its own, which has
    the file's name as its id where it has none."""
    head, whole = read_head(uri, etag, how.encoding)
    if not are_values(head, whole):
        yield from _json_lines(uri, None, etag, tally, how)
        return
    alone = not head.lstrip().startswith("[")
    for number, value in read_values(uri, etag, how.encoding):
        row = value if isinstance(value, BadRow) else _object(value)
        if alone and isinstance(row, dict) and not names_in(tuple(row), IDS):
            row = {"id": _name(uri, how) if number == 1 else f"{_name(uri, how)}#{number}", **row}
        yield number, row


def _name(uri: str, how: How) -> str:
    return how.name or uri.rsplit("/", 1)[-1]


def _json_lines(
    uri: str, span: Span | None, etag: str, tally: Tally | None, how: How
) -> Iterator[tuple[int, Row | BadRow]]:
    for number, line in read_text_lines(uri, span, etag, tally, how.encoding):
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
    return _object(row, line)


def _object(value: Any, raw: str | None = None) -> Row | BadRow:
    """A value as a row; `raw` is how it is written, its own JSON if None."""
    if isinstance(value, dict | list) and is_deep(value):
        return BadRow(f"JSON of more than {MOST_DEPTH} levels", (raw or "")[:MOST_RAW])
    if not isinstance(value, dict):
        shown = json_text(value) if raw is None else raw
        return BadRow(f"a JSON object is needed, not {type(value).__name__}", shown[:MOST_RAW])
    return value


def _parquet(uri: str, wanted: Wanted, etag: str) -> Iterator[tuple[int, Row | BadRow]]:
    with open_parquet(uri, etag) as file:
        names = file.schema_arrow.names
    check_columns(uri, names, wanted, line=False)
    number = 0
    for batch in read_batches(uri, wanted.among(names), etag=etag):
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


def _rows_of_lines(
    uri: str, etag: str, tally: Tally | None, how: How
) -> Iterator[tuple[int, Row | BadRow]]:
    """Each line is a row, an empty one too, as others count them. Its id is its number from 0, of a
    document with the file's name, as there are several files of documents."""
    for number, line in read_text_lines(uri, None, etag, tally, how.encoding):
        row_id = f"{how.name}#{number - 1}" if how.name else str(number - 1)
        yield number, line if isinstance(line, BadRow) else {"id": row_id, "text": line}


def _text(uri: str, etag: str, how: How) -> Iterator[tuple[int, Row | BadRow]]:
    """A plain text file is one document named by its file."""
    lines: list[str] = []
    size = 0
    for _, line in read_text_lines(uri, etag=etag, encoding=how.encoding):
        size += len(line) + 1 if isinstance(line, str) else 0
        if size > MOST_LINE:
            line = BadRow(f"a text of more than {MOST_LINE} characters")
        if isinstance(line, BadRow):
            yield 1, line
            return
        lines.append(line)
    yield 1, {"id": _name(uri, how), "text": "\n".join(lines)}
