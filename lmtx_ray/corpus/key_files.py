"""Files of label keys: one on each line, or the keys' column of a table."""

from __future__ import annotations

from collections.abc import Iterator

from lmtx_ray.corpus.columns import KEYS, Wanted, names_in
from lmtx_ray.corpus.delimited import read_headless
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, read_text_lines
from lmtx_ray.corpus.readers import How, columns_of, format_of, read_rows
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
    found = _of_lines(uri) if kind in {"text", "lines"} else _of_table(uri, kind)
    keys = dict.fromkeys(key.strip() for key in found if key.strip())
    if not keys:
        raise CorpusError(f"{uri}: holds no label key")
    return tuple(keys)


def _of_lines(uri: str) -> Iterator[str]:
    for number, line in read_text_lines(uri):
        if isinstance(line, BadRow):
            raise CorpusError(f"{uri} row {number}: {line.reason}")
        yield line


def _of_table(uri: str, kind: str) -> Iterator[str]:
    for position, row in _rows(uri, kind):
        if isinstance(row, BadRow):
            raise CorpusError(f"{uri} row {position}: {row.reason}")
        name, *_ = names_in(tuple(row), KEYS) or (tuple(row) if len(row) == 1 else ("",))
        if name not in row:
            raise CorpusError(f"{uri} row {position}: no field of label keys: {', '.join(KEYS)}")
        value = row[name]
        try:
            yield "" if is_missing(value) else id_text(value)
        except ValueError as error:
            raise CorpusError(f"{uri} row {position}: field {name!r} {error}") from None


def _rows(uri: str, kind: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows of a table with a column of keys, or of which the only or first column is that."""
    if names_in(tuple(columns_of(uri, kind)), KEYS):
        yield from read_rows(uri, kind, how=How(Wanted(further=KEYS)))
    elif kind in {"csv", "tsv"}:
        for position, row in read_headless(uri, kind, read_text_lines(uri)):
            yield position, row if isinstance(row, BadRow) else {"1": row["1"]}
    else:
        yield from read_rows(uri, kind)
