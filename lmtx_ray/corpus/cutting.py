"""Input files to units of work.

Units are a function of the inputs alone, so every driver makes the same ones. A unit is many small
files of one partition, or a part of a big one: row groups of Parquet, a span of lines of plain
JSONL. What cannot be cut (compressed files, CSV, JSON arrays, text) is streamed whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.inputs import InputFile
from lmtx_ray.corpus.json_values import is_in_lines
from lmtx_ray.corpus.lines import CorpusError, keeps_lines, packed_as
from lmtx_ray.corpus.parquet import open_parquet
from lmtx_ray.io.locations import RefusedLocation
from lmtx_ray.io.units import Part, Unit

MOST_UNITS = 10_000
MOST_FILES = 1_000  # of one unit


def make_units(
    inputs: Sequence[InputFile], source: DocumentsConfig, unit_bytes: int, generation: int = 0
) -> list[Unit]:
    """Units of about `unit_bytes` of input, in input order; none crosses a partition."""
    target = max(unit_bytes, sum(file.size for file in inputs) // MOST_UNITS)
    units: list[Unit] = []

    def add(partition: str, size: int, parts: Sequence[Part]) -> None:
        name = f"{generation:03d}-{len(units):05d}"
        units.append(Unit(name, tuple(parts), partition, size))

    waiting: list[InputFile] = []

    def flush() -> None:
        if waiting:
            parts = [Part(file.uri, file.etag, name=file.name) for file in waiting]
            add(waiting[0].partition, sum(file.size for file in waiting), parts)
            waiting.clear()

    for file in inputs:
        pieces = list(_cut(file, source, target)) if file.size > target else []
        full = sum(other.size for other in waiting) + file.size > target
        if (
            pieces
            or full
            or len(waiting) == MOST_FILES
            or (waiting and waiting[0].partition != file.partition)
        ):
            flush()
        for size, part in pieces:
            add(file.partition, size, [part])
        if not pieces:
            waiting.append(file)
    flush()
    return units


def _cut(file: InputFile, source: DocumentsConfig, target: int) -> Iterator[tuple[int, Part]]:
    try:
        kind = kind_of(file.uri, source)
    except CorpusError:
        return
    if kind == "jsonl":
        if not keeps_lines(source.encoding) or packed_as(file.uri) or not _is_in_lines(file):
            return
        for start in range(0, file.size, target):
            stop = min(start + target, file.size)
            yield stop - start, Part(file.uri, file.etag, start, stop)
    elif kind == "parquet":
        yield from _cut_groups(file, target)


def _is_in_lines(file: InputFile) -> bool:
    try:
        return is_in_lines(file.uri, file.etag)
    except RefusedLocation:  # its unit will say so
        return False


def _cut_groups(file: InputFile, target: int) -> Iterator[tuple[int, Part]]:
    try:
        with open_parquet(file.uri, file.etag) as parquet:
            groups = [parquet.metadata.row_group(n) for n in range(parquet.num_row_groups)]
    except (CorpusError, RefusedLocation):  # its unit will say so
        return
    start = size = row = first = 0
    for number, group in enumerate(groups, start=1):
        size += sum(group.column(n).total_compressed_size for n in range(group.num_columns))
        row += group.num_rows
        if size >= target or number == len(groups):
            yield size, Part(file.uri, file.etag, start, number, first)
            start, size, first = number, 0, row
