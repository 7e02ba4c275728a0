"""Raw rows of documents, part by part of a unit, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.columns import USUAL, check_columns
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.lines import BadRow, Row, Span, Tally
from lmtx_ray.corpus.parquet import open_parquet, read_batches
from lmtx_ray.corpus.readers import batch_rows, read_rows
from lmtx_ray.io.units import Part

CHUNK_ROWS = 512
Read = tuple[int, Row | BadRow, Row]  # position, row, values of the typed columns as pa.Scalar


@dataclass(frozen=True)
class Reading:
    """Where documents are, and which further columns are wanted and must be there. Values of the
    `typed` ones are given as pyarrow scalars too, where the file has types."""

    source: DocumentsConfig
    further: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()

    def required(self) -> list[str]:
        """Columns that a header must have."""
        columns = self.source.columns
        mapped = (columns.doc_id, columns.title, columns.text, *self.further)
        return [name for name in dict.fromkeys(mapped) if name]


def part_rows(part: Part, reading: Reading, tally: Tally) -> Iterator[Read]:
    """Rows of a part, positions from 1 counted from the part's `first_row`.

    Raises:
        CorpusError: The file cannot be read as a whole.
        StorageError: What the disk or network does.
    """
    kind = kind_of(part.uri, reading.source)
    if kind == "parquet":
        yield from _parquet_rows(part, reading)
        return
    span = None if part.stop is None else Span(part.start, part.stop)
    required = reading.required()
    encoding = reading.source.encoding
    for position, row in read_rows(part.uri, kind, required, span, part.etag, tally, encoding):
        yield position, row, {}


def _parquet_rows(part: Part, reading: Reading) -> Iterator[Read]:
    required = reading.required()
    with open_parquet(part.uri, part.etag) as file:
        check_columns(part.uri, file.schema_arrow.names, required)
    groups = None if part.stop is None else range(part.start, part.stop)
    position = part.first_row
    for batch in read_batches(part.uri, [*USUAL, *required], groups, part.etag, CHUNK_ROWS):
        for place, row in enumerate(batch_rows(batch)):
            position += 1
            yield position, row, {name: batch[name][place] for name in reading.typed}
