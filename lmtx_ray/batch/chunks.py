"""Rows of a unit's files in chunks of bounded size, good and bad, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.formats import Extras, known_type
from lmtx_ray.batch.job import TagJob
from lmtx_ray.corpus.documents import SURROGATES, kind_of, text_problem, to_document
from lmtx_ray.corpus.lines import MOST_LINE, BadRow, CorpusError, Row, Tally
from lmtx_ray.corpus.parquet import open_parquet
from lmtx_ray.corpus.rows import CHUNK_ROWS, Reading, part_rows
from lmtx_ray.corpus.values import texts_of
from lmtx_ray.io.locations import RefusedLocation
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.units import Unit

CHUNK_CHARACTERS = 16 << 20


@dataclass
class Chunk:
    """`places` are (part of the unit, position in it) of `documents`; the columns run along.
    `filters` are fields of the columns that filter, as they were read."""

    places: list[tuple[int, int]] = field(default_factory=list)
    documents: list[Row] = field(default_factory=list)
    kept: list[list[str]] = field(default_factory=list)
    extras: Extras = field(default_factory=dict)
    filters: list[Row] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    characters: int = 0

    def is_full(self) -> bool:
        """Whether it has CHUNK_ROWS rows, rejected ones too, or CHUNK_CHARACTERS characters."""
        rows = len(self.documents) + len(self.rejects)
        return rows >= CHUNK_ROWS or self.characters >= CHUNK_CHARACTERS


def read_chunks(unit: Unit, job: TagJob, tallies: list[Tally]) -> Iterator[Chunk]:
    """All rows of a unit. `tallies` is given the number of lines of each part.

    What the disk or network does is raised as StorageError.
    """
    reading = _reading(job)
    chunk = Chunk(extras={name: [] for name in job.pass_through})
    for place, part in enumerate(unit.parts):
        tallies.append(Tally())
        for position, row, typed in part_rows(part, reading, tallies[-1]):
            _add(chunk, job, (place, position), part.uri, row, typed)
            if chunk.is_full():
                yield chunk
                chunk = Chunk(extras={name: [] for name in job.pass_through})
    yield chunk


def passed_types(unit: Unit, job: TagJob) -> dict[str, pa.DataType]:
    """The type of each passed-through column in all of a unit's files, for Parquet: that of the
    Parquet files among them, else text. They are asked before their rows, as a column may begin
    with nulls."""
    if job.output_format != "parquet" or not job.pass_through:
        return dict.fromkeys(job.pass_through, pa.string())
    files = dict.fromkeys((part.uri, part.etag) for part in unit.parts)
    typed = [types for uri, etag in files if (types := _types_in(uri, etag, job)) is not None]
    last = [pa.string()] if len(typed) < len(files) else []
    return {
        name: known_type([*(types.get(name, pa.string()) for types in typed), *last])
        for name in job.pass_through
    }


def _types_in(uri: str, etag: str, job: TagJob) -> dict[str, pa.DataType] | None:
    """Types by column of a Parquet file; None of another, or one that its rows will be refused of.
    A column that it lacks is one of its folders', a text."""
    try:
        if kind_of(uri, job.source) != "parquet":
            return None
        with open_parquet(uri, etag) as file:
            return dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
    except (CorpusError, RefusedLocation):
        return None


def _reading(job: TagJob) -> Reading:
    required = (job.keep_field, *job.filter_columns().values(), *job.pass_through)
    return Reading(job.source, tuple(name for name in required if name), job.pass_through)


def _add(
    chunk: Chunk, job: TagJob, place: tuple[int, int], uri: str, row: Row | BadRow, typed: Row
) -> None:
    kept = _kept(row, job.keep_field) if isinstance(row, dict) else []
    document = row if isinstance(row, BadRow) else _document(row, job, bool(kept))
    extras = _extras(row, typed, job) if isinstance(row, dict) else {}
    filters = _filters(row, job) if isinstance(row, dict) else {}
    if isinstance(document, BadRow) or isinstance(kept, BadRow) or isinstance(extras, BadRow):
        bad = next(part for part in (document, kept, extras) if isinstance(part, BadRow))
        part, position = place
        reject = bad.reject(uri, position)
        chunk.rejects.append({"part": part, **reject, "raw": reject["raw"].replace("\0", " ")})
        return
    chunk.places.append(place)
    chunk.documents.append(document)
    chunk.kept.append(kept)
    chunk.filters.append(filters)
    chunk.characters += len(document["text"])
    for name, value in extras.items():
        chunk.extras[name].append(value)


def _document(row: Row, job: TagJob, has_tags: bool) -> Row | BadRow:
    """A document; with tags of a person it stays without a text too."""
    document = to_document(row, job.source.columns, may_be_empty=has_tags)
    if isinstance(document, dict) and len(document["text"]) > MOST_LINE:
        return BadRow(f"a text of more than {MOST_LINE} characters")
    return document


def _kept(row: Row, name: str | None) -> list[str] | BadRow:
    """Label keys a person set: a list, or one text with "|" between keys."""
    try:
        keys = list(dict.fromkeys(texts_of(row.get(name)) or ())) if name else []
    except ValueError as error:
        return BadRow(f"field {name!r} needs label keys, but {error}", json_text(row))
    problem = next(filter(None, map(text_problem, keys)), "")
    return BadRow(f"{problem} in field {name!r}", json_text(row)) if problem else keys


def _filters(row: Row, job: TagJob) -> Row:
    """What the columns that filter hold, by what they are."""
    return {name: row.get(column) for name, column in job.filter_columns().items()}


def _extras(row: Row, typed: Row, job: TagJob) -> dict[str, Any] | BadRow:
    """What is passed through, of `typed` where a column has a type."""
    for name in job.pass_through:
        if not _is_text(row.get(name)):
            return BadRow(f"lone surrogate in field {name!r}", json_text(row))
    return typed or {name: row.get(name) for name in job.pass_through}


def _is_text(value: Any) -> bool:
    """Whether UTF-8 can hold every text in a value."""
    if isinstance(value, str):
        return not SURROGATES.search(value)
    if isinstance(value, dict):
        return all(_is_text(key) and _is_text(item) for key, item in value.items())
    return all(_is_text(item) for item in value) if isinstance(value, list) else True
