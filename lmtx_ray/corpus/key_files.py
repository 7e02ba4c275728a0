"""Files of label keys: one on each line, or the keys' column of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from lmtx_ray.corpus.columns import KEYS, names_in
from lmtx_ray.corpus.delimited import delimiter_of
from lmtx_ray.corpus.lines import BadRow, CorpusError, read_text_lines
from lmtx_ray.corpus.readers import format_of, read_rows
from lmtx_ray.corpus.values import id_text, is_missing
from lmtx_ray.io import storage


def read_keys(uri: str) -> tuple[str, ...]:
    """The label keys of a file, each once, in its order.

    A text file has a key on each line. JSON lines and Parquet have a column of a usual name (uid,
    label_key, key, id). Of a CSV or TSV without one in its first line the first column counts, and
    that line too.

    Raises:
        CorpusError: No such file, one without keys, or a row that cannot be read.
    """
    if not storage.exists(uri):
        raise CorpusError(f"no such file: {uri}")
    kind = format_of(uri)
    found = _of_table(uri, kind) if kind in {"jsonl", "parquet"} else _of_lines(uri, kind)
    keys = dict.fromkeys(key.strip() for key in found if key.strip())
    if not keys:
        raise CorpusError(f"{uri}: holds no label key")
    return tuple(keys)


def _of_lines(uri: str, kind: str) -> Iterator[str]:
    lines = _good_lines(uri)
    if kind == "text":
        yield from lines
        return
    first = next(lines, "")
    delimiter = "\t" if kind == "tsv" else delimiter_of(first)
    rows = csv.reader(chain([first], lines), delimiter=delimiter)
    header = next(rows, [])
    named = names_in(tuple(header), KEYS)
    column = header.index(named[0]) if named else 0
    yield from (row[column] for row in ([] if named else [header]) if len(row) > column)
    yield from (row[column] for row in rows if len(row) > column)


def _good_lines(uri: str) -> Iterator[str]:
    for number, line in read_text_lines(uri):
        if isinstance(line, BadRow):
            raise CorpusError(f"{uri} row {number}: {line.reason}")
        if line.strip():
            yield line


def _of_table(uri: str, kind: str) -> Iterator[str]:
    for position, row in read_rows(uri, kind):
        if isinstance(row, BadRow):
            raise CorpusError(f"{uri} row {position}: {row.reason}")
        names = names_in(tuple(row), KEYS) or (tuple(row) if len(row) == 1 else ())
        if not names:
            raise CorpusError(f"{uri} row {position}: no field of label keys: {', '.join(KEYS)}")
        value = row[names[0]]
        try:
            yield "" if is_missing(value) else id_text(value)
        except ValueError as error:
            raise CorpusError(f"{uri} row {position}: field {names[0]!r} {error}") from None
