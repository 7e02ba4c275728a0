"""A first look at files nobody has described yet: format, encoding, delimiter, columns, some rows.

Only the beginning of the first file is read. What is seen here is a suggestion; what counts is what
the readers make of the whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus.delimited import delimiter_of
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, inflated
from lmtx_ray.corpus.parquet import column_names, open_parquet, read_batches
from lmtx_ray.corpus.readers import How, columns_of, format_of, read_rows
from lmtx_ray.io import storage

HEAD_BYTES = 4 << 20
HEAD_ROWS = 500
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Look:
    """What the beginning of some files shows.

    `delimiter` is empty where there is none; `rows` are the first ones, by column; `cut` says that
    there are more.
    """

    uris: tuple[str, ...]
    files: int
    size: int  # bytes of all files
    kind: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    cut: bool

    def values(self, column: str) -> list[Any]:
        """What stands in a column of the rows that were read."""
        return [row.get(column) for row in self.rows]


def look(uris: Sequence[str], kind: str = "auto") -> Look:
    """Look at files, folders, globs or manifests.

    Raises:
        CorpusError: Nothing is there, the name tells no format, or there is no row in it.
        StorageError: It cannot be read.
    """
    files = list_inputs(uris, identify=False)
    first, size = files[0].uri, sum(file.size for file in files)
    kind = {"auto": None, "xmc": "jsonl"}.get(kind, kind) or format_of(first)
    if not size:
        raise CorpusError(f"{first}: the file is empty")
    encoding = delimiter = ""
    whole = True
    if kind == "parquet":
        columns, rows = parquet_head(first)
    else:
        data, whole = _head(first)
        encoding = encoding_of(data, whole)
        columns, rows = _text_head(first, kind, encoding)
    if kind in {"csv", "tsv"}:
        delimiter = delimiter_of(_header(data, encoding)) if kind == "csv" else "\t"
    cut = len(files) > 1 or not whole or len(rows) >= HEAD_ROWS
    if not rows:
        raise CorpusError(f"{first}: no row in it that can be read as {kind}")
    shown = tuple(columns), tuple(rows)
    return Look(tuple(uris), len(files), size, kind, encoding, delimiter, *shown, cut)


def beginning(uri: str, most: int) -> bytes:
    """The first bytes of a file, without compression. Raises CorpusError for a damaged one."""
    with storage.open_input(uri) as raw:
        try:
            return inflated(uri, raw).read(most)
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, storage.StorageError):
                raise
            raise CorpusError(f"{uri}: damaged compressed file: {error}") from error


def _head(uri: str) -> tuple[bytes, bool]:
    """(the first bytes, up to the end of a line; whether that is all)."""
    data = beginning(uri, HEAD_BYTES + 1)
    if len(data) <= HEAD_BYTES:
        return data, True
    return data[: data.rfind(b"\n", 0, HEAD_BYTES) + 1] or data[:HEAD_BYTES], False


def encoding_at(uri: str) -> str:
    """The encoding of a text file, by its beginning. Raises CorpusError for a damaged one."""
    return encoding_of(*_head(uri))


def encoding_of(data: bytes, whole: bool) -> str:
    """By its mark; else UTF-8 if it is that; else what Western European offices write. What is not
    the `whole` of a text may end within a character, and so may one that was broken off, if UTF-8
    was seen before."""
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return name
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        is_seen = not data[: error.start].isascii()
        if error.reason == "unexpected end of data" and (is_seen or not whole):
            return "utf-8"
    try:
        data.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


def _header(data: bytes, encoding: str) -> str:
    lines = data.decode(encoding, "replace").split("\n")
    return next((line for line in lines if line.strip()), "")


def _text_head(uri: str, kind: str, encoding: str) -> tuple[list[str], list[Row]]:
    """(names of the columns, the first rows that can be read)."""
    found = islice(read_rows(uri, kind, how=How(encoding=encoding)), HEAD_ROWS)
    rows = [row for _, row in found if not isinstance(row, BadRow)]
    if kind in {"csv", "tsv"}:
        return columns_of(uri, kind, encoding), rows
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def parquet_head(uri: str) -> tuple[list[str], list[dict[str, Any]]]:
    """(names of the columns, the first rows); what no Python value can hold is null in them."""
    with open_parquet(uri) as file:
        columns = column_names(file)
    rows: list[dict[str, Any]] = []
    for batch in read_batches(uri):
        for values in zip(*batch.columns, strict=True):
            rows.append(dict(zip(batch.schema.names, map(_value, values), strict=True)))
        if len(rows) >= HEAD_ROWS:
            break
    return columns, rows[:HEAD_ROWS]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return None
