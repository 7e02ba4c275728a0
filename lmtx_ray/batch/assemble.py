"""The tags of a published job as one file, for people and their tools: CSV, JSON lines or Parquet.

The column of ids has the name it has in the input. `long` is a row for each tag instead of a row
for each document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmtx_ray.batch.formats import EACH, LISTS, csv_line, is_unknown, known_type, rows_of, tags_of
from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.cells import join_items
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.io.table_writer import TableWriter

BATCH_ROWS = 4096
FileKind = OutputFormat | Literal["xmc"]


@dataclass(frozen=True)
class Shape:
    """How one file looks: `id_name` is the column of ids. A sparse matrix, "xmc", has none, and
    neither rows of one tag nor anything that is passed through."""

    kind: FileKind
    id_name: str = "doc_id"
    long: bool = False
    passed: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """Names of the columns, in order. Raises PublishError where two have one name, or a matrix
        would have any."""
        if self.kind == "xmc" and (self.long or self.passed):
            raise PublishError("a file in .xmc.txt holds labels and scores: no --long, no columns")
        own = EACH if self.long else [name for name in schemas.TAGS.names if name != "doc_id"]
        columns = [self.id_name, *own, *self.passed]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise PublishError(
                f"two columns would be called {twice!r}: leave it out of --pass-through, or tag "
                "into a folder"
            )
        return columns

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "passed": list(self.passed)}


def assemble(files: Sequence[str], shape: Shape, file: BinaryIO) -> int:
    """Write all rows of files of tags, which are of the shape's kind and no matrix; returns how
    many rows."""
    columns = shape.columns()
    if shape.kind == "csv" or shape.kind == "jsonl":
        return _text(files, shape, shape.kind, columns, file)
    return _parquet(files, shape, file)


def _text(
    files: Sequence[str], shape: Shape, kind: OutputFormat, columns: list[str], file: BinaryIO
) -> int:
    count = 0
    if kind == "csv":
        file.write(csv_line(columns).encode())
    for uri in files:
        for row in rows_of(uri, kind):
            for one in _shaped(row, shape):
                file.write(_line(one, kind).encode())
                count += 1
    return count


def _shaped(row: dict[str, Any], shape: Shape) -> Iterator[dict[str, Any]]:
    passed = {name: row.get(name) for name in shape.passed}
    if not shape.long:
        own = {name: row[name] for name in schemas.TAGS.names if name != "doc_id"}
        yield {shape.id_name: row["doc_id"], **own, **passed}
        return
    for tag in tags_of(row):
        yield {shape.id_name: row["doc_id"], **tag, **passed}


def _line(row: dict[str, Any], kind: OutputFormat) -> str:
    if kind == "jsonl":
        return json.dumps(row, ensure_ascii=False) + "\n"
    return csv_line([join_items(cell) if isinstance(cell, list) else cell for cell in row.values()])


def _parquet(files: Sequence[str], shape: Shape, file: BinaryIO) -> int:
    writer, count, schema = TableWriter(file), 0, _common_schema(files, shape)
    writer.write(schema.empty_table())
    for uri in files:
        with storage.open_input(uri) as source:
            for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
                table = _reshaped(pa.Table.from_batches([batch]), shape)
                writer.write(_fitted(table, schema))
                count += table.num_rows
    writer.close()
    return count


def _common_schema(files: Sequence[str], shape: Shape) -> pa.Schema:
    """That of the first file, with types of later ones for columns of nulls only, such as those of
    a unit without rows; so it is seldom that more than one file is asked."""
    schema: pa.Schema | None = None
    for uri in files:
        with storage.open_input(uri) as source:
            here = _reshaped(pq.ParquetFile(source).schema_arrow.empty_table(), shape).schema
        types = zip(schema.types if schema else here.types, here.types, strict=True)
        schema = pa.schema(map(pa.Field.with_type, schema or here, map(known_type, types)))
        if not any(map(is_unknown, schema.types)):
            break
    return schema or _reshaped(schemas.TAGS.empty_table(), Shape(shape.kind, shape.id_name)).schema


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema == schema:
        return table
    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise PublishError(
            f"a column is {schema} in one input and something else in another ({error}); tag them "
            "into outputs of their own"
        ) from error


def _reshaped(table: pa.Table, shape: Shape) -> pa.Table:
    table = table.replace_schema_metadata(None)
    if shape.long:
        lists = [table[name].combine_chunks() for name in LISTS]
        parents = pc.list_parent_indices(lists[0])
        taken = [_takeable(table[name]).take(parents) for name in ("doc_id", *shape.passed)]
        columns = [taken[0], *(pc.list_flatten(column) for column in lists), *taken[1:]]
        return pa.table(columns, names=shape.columns())
    names = [shape.id_name if name == "doc_id" else name for name in table.column_names]
    return table.rename_columns(names)


def _takeable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose rows can be taken: pyarrow cannot take those of views."""
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def write_rejects(files: Sequence[str], kind: OutputFormat, uri: str) -> None:
    """The rows that were not tagged, of files of rejects, as one file at `uri`."""
    tables = [storage.read_table(name) for name in files]
    table = pa.concat_tables([schemas.REJECTS.empty_table(), *tables])
    if kind == "parquet":
        storage.write_table(uri, table)
        return
    lines = [csv_line(table.column_names)] if kind == "csv" else []
    lines += (_line(row, kind) for row in table.to_pylist())
    storage.write_bytes(uri, "".join(lines).encode())
