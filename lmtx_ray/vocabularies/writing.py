"""A label set as a file that every config and verb reads without being told its columns."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.cells import join_items
from lmtx_ray.corpus.lines import CorpusError, Row
from lmtx_ray.corpus.readers import ENDINGS
from lmtx_ray.io import storage
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.table_writer import TableWriter

BATCH_ROWS = 8192
COLUMNS = tuple(name for name in schemas.LABELS.names if name != "label_id")
KINDS = ("parquet", "jsonl", "csv", "tsv")
BREAKS = {"csv": "\r", "tsv": "\r\n"}  # what a reader takes for the end of a row, quoted or not
Write = Callable[[list[Row]], object]


def output_kind(uri: str) -> str:
    """How a file of this name is written. Raises CorpusError where that cannot be told."""
    name = uri.lower().rsplit("/", 1)[-1]
    kind = next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), "")
    if kind not in KINDS:
        raise CorpusError(f"{uri}: labels are written as .parquet, .jsonl, .csv or .tsv")
    return kind


def write_labels(labels: Iterable[Row], uri: str) -> int:
    """Write labels (without ids) in their order, atomically; returns how many. Parquet is of the
    `labels` contract, whose ids are the places; in CSV and TSV "|" is between several.

    Raises:
        CorpusError: The name tells no format, or one that cannot hold a key.
        StorageError: It cannot be written.
    """
    kind, count = output_kind(uri), 0
    with storage.scratch_folder() as folder:
        draft = Path(folder, "labels")
        with _writer(draft, kind) as write:
            for batch in _batches(labels):
                write([{"label_id": count + place, **row} for place, row in enumerate(batch)])
                count += len(batch)
        if count:
            storage.put_file(draft, uri)
    return count


def _batches(labels: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for label in labels:
        batch.append(label)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _writer(path: Path, kind: str) -> Iterator[Write]:
    if kind == "parquet":
        with path.open("wb") as binary:
            table = TableWriter(binary)
            table.write(schemas.LABELS.empty_table())
            try:
                yield lambda rows: table.write(pa.Table.from_pylist(rows, schema=schemas.LABELS))
            finally:  # also of a draft that nobody will see: pyarrow complains of an open one
                table.close()
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            yield lambda rows: file.writelines(f"{json_text(_filled(row))}\n" for row in rows)
        else:
            lines = csv.writer(file, delimiter="," if kind == "csv" else "\t", lineterminator="\n")
            lines.writerow(COLUMNS)
            yield lambda rows: lines.writerows(_cells(row, kind) for row in rows)


def _filled(row: Row) -> Row:
    return {name: row[name] for name in COLUMNS if row[name] is not None}


def _cells(row: Row, kind: str) -> list[Any]:
    cells = {
        name: join_items(row[name]) if isinstance(row[name], list) else row[name]
        for name in COLUMNS
    }
    for name, cell in cells.items():  # texts have none, but keys stay as they are
        if cell and not set(BREAKS[kind]).isdisjoint(cell):
            raise CorpusError(
                f"label {row['label_key']!r}: a line break in its {name}, which a .{kind} file "
                "cannot hold: write .parquet or .jsonl"
            )
    return list(cells.values())
