"""Raw rows of documents, part by part of a unit, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.columns import check_columns, document_columns
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.inputs import folder_values
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, Span, Tally
from lmtx_ray.corpus.parquet import open_parquet, read_batches
from lmtx_ray.corpus.readers import How, batch_rows, read_rows
from lmtx_ray.io.locations import RefusedLocation
from lmtx_ray.io.units import Part

CHUNK_ROWS = 512
Read = tuple[int, Row | BadRow, Row]  # position, row, values of the typed columns as pa.Scalar


@dataclass(frozen=True)
class Reading:
    """Where documents are, and which further columns are wanted and must be there: in the file, or
    as `name=value` folders of its path. Values of the `typed` ones are given as pyarrow scalars
    too, where the file has types."""

    source: DocumentsConfig
    further: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


def part_rows(part: Part, reading: Reading, tally: Tally) -> Iterator[Read]:
    """Rows of a part, positions from 1 counted from the part's `first_row`.

    A file that cannot be read as a whole is one bad row, at the position after the last row that
    could be read; 0 where none could.

    Raises:
        StorageError: What the disk or network does.
    """
    position = part.first_row
    try:
        for position, row, typed in _part_rows(part, reading, tally):
            yield position, row, typed
    except (CorpusError, RefusedLocation) as error:
        reason = str(error).removeprefix(f"{part.uri}: ").removeprefix(f"{part.uri!r}: ")
        yield position + 1 if position else 0, BadRow(reason), {}


def _part_rows(part: Part, reading: Reading, tally: Tally) -> Iterator[Read]:
    source, folders = reading.source, folder_values(part.uri)
    kind = kind_of(part.uri, source)
    wanted = document_columns(source.columns, reading.further)
    given = {name: value for name, value in folders.items() if name in wanted.named}
    if kind == "parquet":
        yield from _parquet_rows(part, reading, given)
        return
    span = None if part.stop is None else Span(part.start, part.stop)
    how = How(wanted, source.encoding, part.name, frozenset(given))
    for position, row in read_rows(part.uri, kind, span, part.etag, tally, how):
        yield position, row if isinstance(row, BadRow) else {**given, **row}, {}


def _parquet_rows(part: Part, reading: Reading, given: dict[str, str | None]) -> Iterator[Read]:
    wanted = document_columns(reading.source.columns, reading.further)
    with open_parquet(part.uri, part.etag) as file:
        names = file.schema_arrow.names
    check_columns(part.uri, names, wanted, given, line=False)
    groups = None if part.stop is None else range(part.start, part.stop)
    missing = {name: value for name, value in given.items() if name not in names}
    typed = {
        name: pa.scalar(missing[name], pa.string()) for name in reading.typed if name in missing
    }
    own = [name for name in reading.typed if name not in missing]
    position = part.first_row
    for batch in read_batches(part.uri, wanted.among(names), groups, part.etag, CHUNK_ROWS):
        for place, row in enumerate(batch_rows(batch)):
            position += 1
            full = row if isinstance(row, BadRow) else {**missing, **row}
            yield position, full, {**{name: batch[name][place] for name in own}, **typed}
