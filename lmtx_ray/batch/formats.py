"""Tags as Parquet, JSON lines or CSV: written row group by row group, copied without some rows,
read back.

In CSV a list is joined with "|"; "|" and "\\" inside an item get a "\\" before them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.cells import join_items, split_items
from lmtx_ray.corpus.values import is_missing
from lmtx_ray.io import storage
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.io.table_writer import TableWriter

INFINITE = (float("inf"), float("-inf"))
MOST_CELL = 1 << 30  # characters; what was written here is no stranger's
LISTS = ("label_keys", "labels", "scores", "probabilities")
EACH = ("key", "label", "score", "probability")  # of one tag, in the order of LISTS
Extras = dict[str, list[Any]]  # column -> a value for each row; a pa.Scalar where it has a type


def tags_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tags of a row of `tags`, each with EACH."""
    lists = zip(*(row[name] for name in LISTS), strict=True)
    return [dict(zip(EACH, values, strict=True)) for values in lists]


def as_text(value: Any) -> str | None:
    """A passed-through value where only text fits: texts as they are, others as JSON; null for what
    is no number (NaN, infinity), as JSON has none."""
    value = value.as_py() if isinstance(value, pa.Scalar) else value
    if isinstance(value, str):
        return value
    return None if is_missing(value) or value in INFINITE else json_text(value)


def known_type(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """Of the types that a column has in several places the first that says what it holds: one of
    nulls only, or a list of them, fits any other."""
    some = [kind for kind in kinds if not pa.types.is_null(kind)] or [pa.null()]
    return next((kind for kind in some if not is_unknown(kind)), some[0])


def is_unknown(kind: pa.DataType) -> bool:
    """Whether a type is that of nulls only, or has such a one inside."""
    inside = (kind.field(place).type for place in range(kind.num_fields))
    return pa.types.is_null(kind) or any(map(is_unknown, inside))


class TagWriter:
    """Rows of tags, and what is passed through, to a file of one of the formats. `passed` are those
    columns and, for Parquet, their types."""

    def __init__(
        self, file: BinaryIO, kind: OutputFormat, passed: Mapping[str, pa.DataType]
    ) -> None:
        self._file, self._kind, self._passed = file, kind, passed
        self._is_empty = True
        self._table = TableWriter(file) if kind == "parquet" else None
        if kind == "csv":
            self._text(csv_line([*schemas.TAGS.names, *self._passed]))

    def _text(self, text: str) -> None:
        self._file.write(text.encode())

    def write(self, tags: pa.Table, extras: Extras) -> None:
        """Append a table of TAGS; `extras` has, by column, a value for each of its rows.

        Raises:
            PublishError: A value is not of its column's type.
        """
        self._is_empty = False
        if self._table:
            self._table.write(self._with_extras(tags, extras))
            return
        for place, row in enumerate(tags.to_pylist()):
            passed = {name: extras[name][place] for name in self._passed}
            self._text(_json_line(row, passed) if self._kind == "jsonl" else _cells(row, passed))

    def _with_extras(self, tags: pa.Table, extras: Extras) -> pa.Table:
        for name, kind in self._passed.items():
            try:
                column = _column(extras[name], kind)
            except pa.ArrowException as error:
                raise PublishError(
                    f"pass-through column {name!r} is {kind} in one input and something else in "
                    f"another ({error}); tag them into outputs of their own"
                ) from error
            tags = tags.append_column(name, column)
        return tags

    def close(self) -> None:
        """End the file, which has its columns even where no row was written."""
        if self._table:
            if self._is_empty:  # columns of no type fit every other file
                empty = schemas.TAGS.empty_table()
                for name in self._passed:
                    empty = empty.append_column(name, pa.nulls(0))
                self._table.write(empty)
            self._table.close()


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values of which some may be pa.Scalar. (A scalar is never asked for its truth: that of an
    empty list is False, and that of a missing one an error.)"""
    if kind == pa.string() and not any(isinstance(value, pa.Scalar) for value in values):
        return pa.array(map(as_text, values), kind)
    cells = [_as(value, kind) for value in values]
    if is_unknown(kind):  # of scalars pyarrow makes no array with a field of nulls
        return pa.array([None if cell is None else cell.as_py() for cell in cells], kind)
    return pa.array(cells, kind)


def _as(value: Any, kind: pa.DataType) -> pa.Scalar | None:
    """A value of a type; None for null, as pyarrow makes no array of the null of a list, and for an
    empty cell of a text file among numbers."""
    scalar = value if isinstance(value, pa.Scalar) else pa.scalar(as_text(value), pa.string())
    is_empty = not pa.types.is_string(kind) and value == ""
    if is_empty or not scalar.is_valid:
        return None
    return scalar if scalar.type == kind else scalar.cast(kind)


def _json_line(row: dict[str, Any], passed: dict[str, Any]) -> str:
    plain = {
        name: value.as_py() if isinstance(value, pa.Scalar) else value
        for name, value in passed.items()
    }
    return json_text({**row, **plain}) + "\n"


def _cells(row: dict[str, Any], passed: dict[str, Any]) -> str:
    cells = [join_items(row[name]) if name in LISTS else row[name] for name in schemas.TAGS.names]
    return csv_line([*cells, *(as_text(value) for value in passed.values())])


def csv_line(cells: Sequence[Any]) -> str:
    """A row as CSV, ended by a line feed."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)  # its own line end, as it quotes what holds a part of that
    return text.getvalue().removesuffix("\r\n") + "\n"


def _csv_rows(lines: TextIO) -> Iterator[list[str]]:
    csv.field_size_limit(MOST_CELL)
    yield from csv.reader(lines)


def copy_without(uri: str, kind: OutputFormat, drop: Collection[int], file: BinaryIO) -> None:
    """The rows of a file of tags but those at the places `drop`."""
    if kind == "parquet":
        writer, place = TableWriter(file), 0
        with storage.open_input(uri) as source:
            parquet = pq.ParquetFile(source)
            writer.write(parquet.schema_arrow.empty_table())
            for batch in parquet.iter_batches(4096):
                here = [n not in drop for n in range(place, place + batch.num_rows)]
                writer.write(pa.Table.from_batches([batch]).filter(pa.array(here, pa.bool_())))
                place += batch.num_rows
        writer.close()
        return
    for place, text in enumerate(_records(uri, kind), start=-1 if kind == "csv" else 0):
        if place not in drop:
            file.write(text.encode())


def _records(uri: str, kind: OutputFormat) -> Iterator[str]:
    """Rows as they are written; of CSV the header first."""
    with storage.open_input(uri) as raw:
        lines = io.TextIOWrapper(raw, "utf-8", newline="")
        yield from map(csv_line, _csv_rows(lines)) if kind == "csv" else lines


def ids_at(uri: str, kind: OutputFormat, places: np.ndarray) -> list[str]:
    """doc_id of the rows at some places, ascending."""
    if kind == "parquet":
        with storage.open_input(uri) as source:
            column = pq.read_table(source, columns=["doc_id"])["doc_id"]
            ids: list[str] = column.take(places).to_pylist()
            return ids
    wanted = set(places.tolist())
    rows = (row for row in rows_of(uri, kind))
    return [row["doc_id"] for place, row in enumerate(rows) if place in wanted]


def rows_of(uri: str, kind: OutputFormat) -> Iterator[dict[str, Any]]:
    """Rows of a text file of tags: lists as lists, passed-through columns as they are written."""
    with storage.open_input(uri) as raw:
        lines = io.TextIOWrapper(raw, "utf-8", newline="")
        if kind == "jsonl":
            yield from (json.loads(line) for line in lines)
            return
        cells = _csv_rows(lines)
        header = next(cells)
        for row in (dict(zip(header, row, strict=True)) for row in cells):
            items = {name: split_items(row[name]) for name in LISTS}
            numbers = {
                name: [float(item) if item else None for item in items[name]]
                for name in ("scores", "probabilities")
            }
            if len(items["label_keys"]) == 1:  # whose one null is an empty cell
                numbers = {name: values or [None] for name, values in numbers.items()}
            yield {**row, **items, **numbers}


def read_files(uris: Sequence[str], kind: OutputFormat) -> pa.Table:
    """Files of tags of one output as a table of the `tags` contract and what was passed through.
    JSON values of a column that are of no one type are texts, as in CSV.

    Raises:
        ArrowException: A column has different types in Parquet files.
    """
    if kind == "parquet":
        tables = [storage.read_table(uri) for uri in uris]
        return pa.concat_tables(tables, promote_options="permissive")
    tables = [schemas.TAGS.empty_table()]
    passed: Extras = {}
    for uri in uris:
        rows = list(rows_of(uri, kind))
        tables.append(pa.Table.from_pylist(rows, schema=schemas.TAGS))
        for name in (name for name in (rows[0] if rows else ()) if name not in schemas.TAGS.names):
            passed.setdefault(name, []).extend(row[name] for row in rows)
    tags = pa.concat_tables(tables)
    for name, values in passed.items():
        tags = tags.append_column(name, _json_column(values))
    return tags


def _json_column(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([as_text(value) for value in values], pa.string())
