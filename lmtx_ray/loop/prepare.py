"""Raw files to the published documents, labels, gold and rejects of a run.

Files are cut into units that are read where there is room; the driver decides, from numbers alone,
which documents count and in which units they go, and those units are written from the raw ones.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.counting import refuse_held_aside, refuse_no_test
from lmtx_ray.corpus.cutting import make_units
from lmtx_ray.corpus.gathering import Assembling, Gathered, final_units, gather, hold_aside
from lmtx_ray.corpus.gold import LabelRows, gold_table, read_gold, refuse_no_pairs
from lmtx_ray.corpus.gold_reader import GoldReading, column_reading, gold_files, run_gold
from lmtx_ray.corpus.inputs import changed_since, list_inputs
from lmtx_ray.corpus.label_names import names_in
from lmtx_ray.corpus.labels import publish_labels
from lmtx_ray.corpus.left_out import LEFT_OUT
from lmtx_ray.corpus.lines import Row
from lmtx_ray.corpus.raw import RawReading
from lmtx_ray.corpus.reasons import MOST_SHOWN, Reasons, no_document
from lmtx_ray.corpus.settling import Done, rejects_table, with_bases, write_rejects
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset, new_attempt
from lmtx_ray.io.receipts import DATA, PublishError, Receipt
from lmtx_ray.io.units import Unit
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.loop.self_matching import pairs_of_run
from lmtx_ray.stages.prepare import AssembleDocuments, ReadDocuments
from lmtx_ray.stages.units import Work, do_units, run_units

logger = logging.getLogger(__name__)
UNIT_BYTES = 4 << 20
LOCAL_BYTES = 32 << 20  # so little is done before a pool has started


def prepare(config: RunConfig, layout: Layout) -> None:
    """Publish the corpus tables; a complete corpus is left alone.

    Raises:
        CorpusError: A missing file or column, a bad label file, or no readable document.
    """
    steps = [layout.documents, layout.labels, layout.label_rejects, layout.rejects]
    if layout.test:
        steps += [layout.test.documents, layout.test.gold, layout.test.rejects]
    if all(step.is_complete() for step in steps):
        logger.info("prepare: complete")
        return
    if not (layout.labels.is_complete() and layout.label_rejects.is_complete()):
        publish_labels(config.corpus, layout.labels, layout.label_rejects, config.unit_labels)
    work = RunLayout(config.run).work(f"prepare-{layout.documents.fingerprint}")
    corpus = _Files(config, work)
    trained = _documents(corpus, layout)
    tested = _test(corpus, layout, trained) if layout.test else 0
    storage.remove_folder(work)
    logger.info(
        "prepare: %d documents, %d to test on, %d labels",
        len(trained),
        tested,
        layout.labels.rows(),
    )
    for step in _rejects(layout):
        if step.rows():
            logger.warning("prepare: %s", reasons_of(step))


def warn_of_unknown(keys: Sequence[str], labels: Dataset) -> None:
    """Of keys to leave out of the evaluation that no label has: at its end nobody sees them."""
    if not keys:
        return
    column = pa.array(keys, pa.string())
    known = set(labels.where("label_key", column, ["label_key"])["label_key"].to_pylist())
    for key in keys:
        if key not in known:
            logger.warning("evaluation.exclude_keys: no label has the key %r", key)


def _rejects(layout: Layout) -> list[Dataset]:
    return [layout.label_rejects, layout.rejects, *([layout.test.rejects] if layout.test else [])]


def reasons_of(rejects: Dataset) -> Reasons:
    """The first of published rejects, and how many there are."""
    tables = (table for table in rejects.tables() if table.num_rows)
    first = next(tables, schemas.REJECTS.empty_table()).slice(0, MOST_SHOWN)
    return Reasons.of(first.to_pylist(), rejects.rows())


def _documents(corpus: _Files, layout: Layout) -> Gathered:
    config = corpus.config.corpus
    gathered = corpus.read(layout.documents, config.documents, RawReading(config, config.seed), [])
    publish_rejects(gathered, layout.rejects)
    if not len(gathered):
        raise no_document(config.documents, reasons_of(layout.rejects))
    refuse_held_aside(config, len(gathered))
    aside = config.aside_of(len(gathered))
    if config.held_aside is None:
        logger.info("prepare: %d documents are held aside (corpus.held_aside is not set)", aside)
    how = Assembling("documents", "train", config.seed, hold_aside(gathered, aside))
    corpus.assemble(gathered, how, layout.documents)
    return gathered


def _test(corpus: _Files, layout: Layout, trained: Gathered) -> int:
    """A test document must be none of the training documents, unless it is one of them by a gold
    file: then it was trained on, but without its gold."""
    config, test = corpus.config.corpus, layout.tested
    how, bad = _gold(corpus, layout)
    raw = RawReading(config, config.seed, how)
    earlier = trained.counted() if config.test else []
    gathered = corpus.read(test.documents, gold_files(config), raw, earlier)
    publish_rejects(gathered, test.rejects, bad)
    refuse_no_test(config, len(gathered), reasons_of(test.rejects))
    for table, step in (("documents", test.documents), ("gold", test.gold)):
        corpus.assemble(gathered, Assembling(table, "test"), step)
    # what is wrong with its file is better known now than at the end
    pairs_of_run(config, layout.labels, layout.label_rejects)
    return len(gathered)


def _gold(corpus: _Files, layout: Layout) -> tuple[GoldReading, list[Row]]:
    """(how gold is read, rejects of a gold file). What such a file holds is written where the
    workers that read documents find it."""
    config = corpus.config.corpus
    left_out = tuple(layout.label_rejects.manifest().about[LEFT_OUT])
    rows, files = LabelRows(layout.labels.rows(), left_out), tuple(layout.labels.files())
    if config.gold is None:
        return column_reading(config, rows, files), []
    gold = read_gold(run_gold(config), names_in(files), rows=rows)
    refuse_no_pairs(gold, config.gold)
    table = storage.join(corpus.work, "gold", f"{layout.tested.gold.fingerprint}.parquet")
    storage.write_table(table, gold_table(gold))
    logger.info(
        "gold: %d labels of %d documents in %s, %d rejected",
        gold.pairs(),
        len(gold.labels),
        config.gold,
        len(gold.rejects),
    )
    return GoldReading(rows, table=table, others=config.test is None), gold.rejects


class _Files:
    """Reads and assembles the documents of a run; raw ones are kept under `work` meanwhile."""

    def __init__(self, config: RunConfig, work: str) -> None:
        self.config, self.work = config, work
        self._local = True

    def read(
        self, step: Dataset, uris: Sequence[str], raw: RawReading, earlier: Sequence[Done]
    ) -> Gathered:
        """Read units for `step`, until the limit is reached, more of them each time. What was read
        for other files or settings is another data set. PublishError where a file changed
        meanwhile."""
        config, began = self.config.corpus, time.time()
        limit = config.limit if raw.gold is None else None
        inputs = list_inputs(uris)
        units = make_units(inputs, config, UNIT_BYTES)
        self._local = sum(unit.size for unit in units) <= LOCAL_BYTES
        output = Dataset(storage.join(self.work, step.fingerprint), step.fingerprint)
        some = len(units) if limit is None else 1
        while True:
            gathered = gather(self._read(units[:some], raw, output), earlier, limit)
            if some >= len(units) or len(gathered) == limit:
                break
            some *= 2
        if changed := changed_since(inputs, began):
            storage.remove_folder(output.uri)  # once they are as they were, they are read anew
            raise PublishError(f"{changed[0]}: it was changed while the run read it; start again")
        return gathered

    def _read(self, units: Sequence[Unit], raw: RawReading, output: Dataset) -> list[Done]:
        do_units([Work(output, units)], ReadDocuments, {"raw": raw}, **self._how("read"))
        return with_bases(output, units, output.receipts([unit.name for unit in units]))

    def assemble(self, gathered: Gathered, how: Assembling, output: Dataset) -> None:
        units = list(final_units(gathered, self.config.unit_documents))
        work = Work(output, units, "doc_id")
        run_units([work], AssembleDocuments, {"how": how}, **self._how(how.table))

    def _how(self, name: str) -> dict[str, Any]:
        pool = self.config.resources.shortlist
        return {"resources": pool, "name": f"prepare {name}", "local": self._local}


def publish_rejects(gathered: Gathered, output: Dataset, more: Sequence[Row] = ()) -> None:
    """Publish the rejects of the raw units that have any, numbered by their files, and `more` of
    another file before them."""
    if output.is_complete():
        return
    units = []
    if more:
        table = schemas.conform(rejects_table(more), schemas.REJECTS)
        units.append(output.commit_table("gold", table, rows_in=len(more)).unit)
    for number, done in enumerate(gathered.done):
        if done.receipt.rejected or done.repeated or (number == 0):
            last = gathered.last.get(number)
            units.append(_commit_rejects(done, last, output).unit)
    output.publish(units)


def _commit_rejects(done: Done, last: tuple[int, int] | None, output: Dataset) -> Receipt:
    with storage.scratch_folder() as folder:
        path = Path(folder) / "rejects"
        with path.open("wb") as file:
            rows = write_rejects(done, file, last)
        stored = output.put(path, f"{DATA}/{done.unit.name}-{new_attempt()}.parquet")
    receipt = Receipt(done.unit.name, output.fingerprint, {DATA: stored}, rows, rows)
    return output.commit(receipt)
