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
from lmtx_ray.corpus.gold import LabelRows, read_gold, refuse_no_pairs
from lmtx_ray.corpus.gold_reader import (
    GoldReader,
    GoldReading,
    column_reading,
    gold_files,
    run_gold,
)
from lmtx_ray.corpus.inputs import InputFile, list_inputs
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.corpus.lengths import count_words
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, Tally
from lmtx_ray.corpus.raw import RawReading, read_document
from lmtx_ray.corpus.reasons import MOST_SHOWN, Reasons, no_document
from lmtx_ray.corpus.rows import part_rows
from lmtx_ray.corpus.self_matches import read_pairs, row_ids
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
    """Rows of a corpus; `words` is the mean of the first documents, `reasons` what was wrong with
    the first rejects, in one line for each kind of file."""

    documents: int
    held_aside: int
    test: int
    labels: int
    rejects: int
    words: float
    reasons: tuple[str, ...] = ()


def count_corpus(config: CorpusConfig) -> Counts:
    """Validate and count what a run would read; remembered for the same files.

    Raises:
        CorpusError: A missing file or column, a bad label file, or no readable document.
    """
    more = [file for file in (config.test, config.gold, config.self_matches) if file]
    uris = [*config.documents, config.labels, *more]
    files = [asdict(file) for file in list_inputs(uris)]
    name = fingerprint("counts", __version__, config, files)
    kept = remembered.recall("counts", name)
    if kept is None:
        kept = asdict(_count(config))
        remembered.keep("counts", name, kept)
    return Counts(**kept)


def _count(config: CorpusConfig) -> Counts:
    left_out = LeftOut()
    gold, labels, gold_rejects = _labels(config, left_out)
    raw = RawReading(config, config.seed)
    trained = _read(list_inputs(config.documents), raw, None, config.limit, NO_HASHES)
    if not trained.documents:
        raise no_document(config.documents, trained.rejects)
    refuse_held_aside(config, trained.documents)
    tested = None
    if gold:
        files = list_inputs(gold_files(config))
        others = trained.hashes if config.test else NO_HASHES
        raw = RawReading(config, config.seed, gold.how)
        tested = _read(files, raw, gold, None, others)
        refuse_no_test(config, tested.documents, tested.rejects)
    if config.self_matches:
        rows = LabelRows(labels, tuple(left_out.places))
        read_pairs(config.self_matches, row_ids(gold_files(config), config), rows)
    rejects = [left_out.reasons(), trained.rejects, gold_rejects]
    rejects += [tested.rejects] if tested else []
    return Counts(
        trained.documents,
        config.aside_of(trained.documents),
        tested.documents if tested else 0,
        labels,
        sum(one.count for one in rejects),
        trained.words / min(trained.documents, MEASURED),
        tuple(str(one) for one in rejects if one.count),
    )


def _labels(config: CorpusConfig, left_out: LeftOut) -> tuple[GoldReader | None, int, Reasons]:
    """(what reads gold if there is any, labels, rejects of a gold file)."""
    tables = label_tables(config, LABELS_AT_ONCE, left_out)
    if not config.has_test:
        return None, sum(table.num_rows for table in tables), Reasons()
    names = LabelNames.of(tables)
    rows = LabelRows(len(names), tuple(left_out.places))
    if config.gold is None:
        how = column_reading(config, rows)
        return GoldReader(how, None if how.index else names), len(names), Reasons()
    found = read_gold(run_gold(config), names, rows=rows)
    refuse_no_pairs(found, config.gold)
    how = GoldReading(rows, table=config.gold, others=config.test is None)
    rejects = Reasons.of(found.rejects[:MOST_SHOWN], len(found.rejects))
    return GoldReader(how, by_document=found.labels), len(names), rejects


@dataclass(frozen=True)
class _Read:
    """What some files hold. `hashes` uint64 of ids, each once."""

    documents: int
    rejects: Reasons
    words: int
    hashes: np.ndarray


def _read(
    files: Sequence[InputFile],
    raw: RawReading,
    gold: GoldReader | None,
    limit: int | None,
    others: np.ndarray,
) -> _Read:
    """Count rows; an id that is there twice, or among `others`, is a reject."""
    hashes, counted = array("Q"), set[int]()  # 8 bytes a row; the set only as far as a limit
    words, reasons = 0, Reasons()
    for uri, place, row, problems in _rows(files, raw, gold):
        for problem in problems:
            reasons.add(uri, place, problem.reason)
        if row is None:
            continue
        if len(hashes) < MEASURED:
            words += count_words(document_text(row["title"], row["text"]))
        hashes.append(key_hash(row["doc_id"]))
        if limit is not None:
            counted.add(hashes[-1])
            if len(counted) == limit:
                break
    own = np.unique(np.array(hashes, np.uint64))
    documents = len(own) - int(np.isin(own, others).sum())
    if again := len(hashes) - documents:
        reasons.repeated(again)
    return _Read(documents, reasons, words, own)


def _rows(
    files: Sequence[InputFile], raw: RawReading, gold: GoldReader | None = None
) -> Iterator[tuple[str, int, Row | None, list[BadRow]]]:
    reading = raw.reading()
    for file in files:
        part = Part(file.uri, file.etag, name=file.name)
        for position, row, _ in part_rows(part, reading, Tally()):
            yield file.uri, position, *read_document(row, raw, gold)


def refuse_held_aside(config: CorpusConfig, documents: int) -> None:
    """CorpusError where no document would be left to train on."""
    if config.held_aside and config.held_aside >= documents:
        raise CorpusError(
            f"corpus.held_aside is {config.held_aside}, of only {documents} documents; "
            "leave it out for 20 % of them"
        )


def refuse_no_test(config: CorpusConfig, documents: int, rejects: Reasons) -> None:
    """CorpusError where no test document is readable."""
    if not documents:
        files = gold_files(config)
        if config.gold and not rejects.count:
            where = ", ".join(files)
            raise CorpusError(
                f"{where}: no readable document with gold labels; none has an id that "
                f"{config.gold} names"
            )
        raise no_document(files, rejects, " with gold labels")


def first_documents(config: CorpusConfig, limit: int | None) -> pa.Table:
    """The first readable documents of a corpus, as they are before any run; none is held aside."""
    rows, reasons = dict[str, Row](), Reasons()
    files = list_inputs(config.documents)
    for uri, place, row, problems in _rows(files, RawReading(config, config.seed)):
        if len(rows) == limit:
            break
        for problem in problems:
            reasons.add(uri, place, problem.reason)
        if row is not None:
            rows.setdefault(row["doc_id"], {**row, "split": "train"})
    if not rows:
        raise no_document(config.documents, reasons)
    table = pa.Table.from_pylist(list(rows.values()), schema=schemas.DOCUMENTS)
    return schemas.conform(table, schemas.DOCUMENTS)
