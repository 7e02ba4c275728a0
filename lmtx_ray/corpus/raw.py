"""A unit of raw files to documents as they were written, before it is known which of them count.

Beside the rows stands what only all units together can decide on: hashes of id and text, and the
number that says who is held aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.documents import to_document
from lmtx_ray.corpus.gold_reader import GoldReader, GoldReading
from lmtx_ray.corpus.lines import BadRow, Row, Tally
from lmtx_ray.corpus.rows import Reading, part_rows
from lmtx_ray.corpus.settling import rejects_table
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset, new_attempt
from lmtx_ray.io.receipts import DATA, IDS, REJECTS, Receipt
from lmtx_ray.io.table_writer import TableWriter
from lmtx_ray.io.unique import key_hash
from lmtx_ray.io.units import Unit

GROUP_ROWS = 128  # of the raw documents: what is read at once to gather them
RAW = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("label_ids", pa.list_(pa.int32())),  # null where there is no gold
    ]
)
RAW_IDS = pa.schema(
    [
        ("hash", pa.uint64()),
        ("same_text", pa.uint64()),
        ("aside", pa.uint64()),
        ("part", pa.int32()),
        ("position", pa.int64()),
    ]
)


@dataclass(frozen=True)
class RawReading:
    """How raw documents are read, with their gold labels where `gold` says how; `seed` orders who
    is held aside."""

    source: DocumentsConfig
    seed: int
    gold: GoldReading | None = None

    def reading(self) -> Reading:
        """What is read of each file: documents, and the gold column where gold is."""
        column = self.gold.column if self.gold else None
        return Reading(self.source, (column,) if column else ())


def aside_number(seed: int, doc_id: str) -> int:
    """64 bits that order documents by chance: the first of its SHA-256 with the seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{doc_id}".encode()).digest()[:8], "big")


@dataclass
class _Block:
    """Rows that wait to be written."""

    documents: list[Row] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def is_full(self) -> bool:
        return len(self.documents) + len(self.rejects) >= GROUP_ROWS


def read_unit(unit: Unit, raw: RawReading, output: Dataset) -> Receipt:
    """Read a unit and commit it: documents, what is kept of their ids, and rejects if any.

    Raises:
        StorageError: An input or the output failed; nothing is committed.
    """
    tallies: list[Tally] = []
    attempt, good, bad = new_attempt(), 0, 0
    with storage.scratch_folder() as folder, ExitStack() as stack:
        paths = {kind: Path(folder) / kind for kind in (DATA, IDS, REJECTS)}
        files = {kind: stack.enter_context(path.open("wb")) for kind, path in paths.items()}
        writers = {kind: TableWriter(file, GROUP_ROWS) for kind, file in files.items()}
        for block in _blocks(unit, raw, tallies):
            good, bad = good + len(block.documents), bad + len(block.rejects)
            writers[DATA].write(pa.Table.from_pylist(block.documents, schema=RAW))
            writers[IDS].write(_id_rows(block, raw.seed))
            writers[REJECTS].write(rejects_table(block.rejects))
        for kind, writer in writers.items():
            writer.close()
            files[kind].close()
        stored = {
            kind: output.put(path, f"{kind}/{unit.name}-{attempt}.parquet")
            for kind, path in paths.items()
            if kind != REJECTS or bad
        }
    lines = tuple(tally.lines for tally in tallies)
    return output.commit(
        Receipt(unit.name, output.fingerprint, stored, good + bad, good, bad, lines)
    )


def _blocks(unit: Unit, raw: RawReading, tallies: list[Tally]) -> Iterator[_Block]:
    block, reading = _Block(), raw.reading()
    gold = raw.gold.reader() if raw.gold else None
    for place, part in enumerate(unit.parts):
        tallies.append(Tally())
        for position, row, _ in part_rows(part, reading, tallies[-1]):
            document, bad = read_document(row, raw, gold)
            block.rejects += [one.reject(part.uri, position) for one in bad]
            if document is not None:
                block.documents.append(document)
                block.places.append((place, position))
            if block.is_full():
                yield block
                block = _Block()
    yield block


def read_document(
    row: Row | BadRow, raw: RawReading, gold: GoldReader | None = None
) -> tuple[Row | None, list[BadRow]]:
    """(a raw row as a document with its gold, None if it is none; what is wrong with it). A
    document of whose gold labels some are unknown stays, with the others."""
    document = row if isinstance(row, BadRow) else to_document(row, raw.source.columns)
    if isinstance(document, BadRow):
        again = gold is not None and gold.how.others  # the corpus has told it already
        return None, [] if again else [document]
    assert not isinstance(row, BadRow)  # or the document were one
    if gold is None:
        return document, []
    labels, bad = gold.of(row, document["doc_id"])
    return (None if labels is None else {**document, "label_ids": labels}), bad


def _id_rows(block: _Block, seed: int) -> pa.Table:
    rows = block.documents
    texts = (document_text(row["title"], row["text"]) for row in rows)
    columns = {
        "hash": np.array([key_hash(row["doc_id"]) for row in rows], np.uint64),
        "same_text": np.array([key_hash(text) for text in texts], np.uint64),
        "aside": np.array([aside_number(seed, row["doc_id"]) for row in rows], np.uint64),
        "part": [place[0] for place in block.places],
        "position": [place[1] for place in block.places],
    }
    return pa.table(columns, schema=RAW_IDS)
