"""What a corpus holds, counted row by row without keeping any: for plans."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray import __version__
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.gold import read_gold
from lmtx_ray.corpus.gold_reader import (
    GoldReader,
    GoldReading,
    column_reading,
    gold_files,
    source_of,
)
from lmtx_ray.corpus.inputs import InputFile, list_inputs
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, Tally
from lmtx_ray.corpus.raw import RawReading, read_document
from lmtx_ray.corpus.rows import part_rows
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.io import remembered
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.unique import key_hash
from lmtx_ray.io.units import Part

LABELS_AT_ONCE = 4096
NO_HASHES = np.array([], np.uint64)
MEASURED = 1000  # documents whose words are counted


@dataclass(frozen=True)
class Counts:
    """Rows of a corpus; `words` is the mean of the first documents."""

    documents: int
    held_aside: int
    test: int
    labels: int
    rejects: int
    words: float


def count_corpus(config: CorpusConfig) -> Counts:
    """Validate and count what a run would read; remembered for the same files.

    Raises:
        CorpusError: A missing file or column, a bad label file, or no readable document.
    """
    more = [file for file in (config.test, config.gold) if file]
    uris = [*config.documents, config.labels, *more]
    files = [asdict(file) for file in list_inputs(uris)]
    name = fingerprint("counts", __version__, config, files)
    kept = remembered.recall("counts", name)
    if kept is None:
        kept = asdict(_count(config))
        remembered.keep("counts", name, kept)
    return Counts(**kept)


def _count(config: CorpusConfig) -> Counts:
    gold, labels, rejects = _gold(config) if config.has_test else (None, _label_count(config), 0)
    raw = RawReading(config, config.seed)
    trained = _read(list_inputs(config.documents), raw, None, config.limit, NO_HASHES)
    if not trained.documents:
        raise CorpusError(f"{', '.join(config.documents)}: no readable document")
    refuse_held_aside(config, trained.documents)
    tested = None
    if gold:
        raw = RawReading(config, config.seed, gold.how)
        others = trained.hashes if config.test else NO_HASHES
        tested = _read(list_inputs(gold_files(config)), raw, gold, None, others)
        refuse_no_test(config, tested.documents, tested.first)
    return Counts(
        trained.documents,
        config.held_aside,
        tested.documents if tested else 0,
        labels,
        trained.rejects + rejects + (tested.rejects if tested else 0),
        trained.words / min(trained.documents, MEASURED),
    )


def _label_count(config: CorpusConfig) -> int:
    return sum(table.num_rows for table in label_tables(config, LABELS_AT_ONCE))


def _gold(config: CorpusConfig) -> tuple[GoldReader, int, int]:
    """(what reads gold, labels, rejects of a gold file)."""
    names = LabelNames.of(label_tables(config, LABELS_AT_ONCE))
    if config.gold is None:
        how = column_reading(config, len(names))
        return GoldReader(how, None if how.index else names), len(names), 0
    found = read_gold(source_of(config), names)
    how = GoldReading(len(names), table=config.gold, others=config.test is None)
    return GoldReader(how, by_document=found.labels), len(names), len(found.rejects)


@dataclass(frozen=True)
class _Read:
    """What some files hold. `hashes` uint64 of ids, each once; `first` is the first bad row."""

    documents: int
    rejects: int
    words: int
    hashes: np.ndarray
    first: Row | None


def _read(
    files: Sequence[InputFile],
    raw: RawReading,
    gold: GoldReader | None,
    limit: int | None,
    others: np.ndarray,
) -> _Read:
    """Count rows; an id that is there twice, or among `others`, is a reject."""
    hashes, counted = array("Q"), set[int]()  # 8 bytes a row; the set only as far as a limit
    bad = words = 0
    first: Row | None = None
    for place, row, problems in _rows(files, raw, gold):
        bad += len(problems)
        if problems:
            first = first or {"position": place, "reason": problems[0].reason}
        if row is None:
            continue
        if len(hashes) < MEASURED:
            words += len(document_text(row["title"], row["text"]).split())
        hashes.append(key_hash(row["doc_id"]))
        if limit is not None:
            counted.add(hashes[-1])
            if len(counted) == limit:
                break
    own = np.unique(np.array(hashes, np.uint64))
    documents = len(own) - int(np.isin(own, others).sum())
    return _Read(documents, bad + len(hashes) - documents, words, own, first)


def _rows(
    files: Sequence[InputFile], raw: RawReading, gold: GoldReader | None = None
) -> Iterator[tuple[int, Row | None, list[BadRow]]]:
    reading = raw.reading()
    for file in files:
        for position, row, _ in part_rows(Part(file.uri, file.etag), reading, Tally()):
            yield position, *read_document(row, raw, gold)


def refuse_held_aside(config: CorpusConfig, documents: int) -> None:
    """CorpusError where no document would be left to train on."""
    if config.held_aside and config.held_aside >= documents:
        raise CorpusError(
            f"corpus.held_aside is {config.held_aside}, of only {documents} documents"
        )


def refuse_no_test(config: CorpusConfig, documents: int, first: Row | None) -> None:
    """CorpusError where no test document is readable; `first` is the first reject."""
    if not documents:
        why = f"row {first['position']}: {first['reason']}" if first else "it is empty"
        if config.gold and not first:
            why = f"none has an id that {config.gold} names"
        where = ", ".join(gold_files(config))
        raise CorpusError(f"{where}: no readable document with gold labels; {why}")


def first_documents(config: CorpusConfig, limit: int | None) -> pa.Table:
    """The first readable documents of a corpus, as they are before any run; none is held aside."""
    rows: dict[str, Row] = {}
    for _, row, _ in _rows(list_inputs(config.documents), RawReading(config, config.seed)):
        if len(rows) == limit:
            break
        if row is not None:
            rows.setdefault(row["doc_id"], {**row, "split": "train"})
    if not rows:
        raise CorpusError(f"{', '.join(config.documents)}: no readable document")
    table = pa.Table.from_pylist(list(rows.values()), schema=schemas.DOCUMENTS)
    return schemas.conform(table, schemas.DOCUMENTS)
