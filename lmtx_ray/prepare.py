"""Raw files to the published documents, labels, gold and rejects of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pyarrow as pa

from lmtx_ray.corpus import prepare_corpus
from lmtx_ray.layout import Layout
from lmtx_ray.publish import StepOutput
from lmtx_ray.settings import RunConfig

logger = logging.getLogger(__name__)


def prepare(config: RunConfig, layout: Layout) -> None:
    """Publish the corpus tables; a complete corpus is left alone."""
    steps = (layout.documents, layout.labels, layout.gold, layout.rejects)
    if all(step.is_complete() for step in steps):
        logger.info("prepare: complete")
        return
    corpus = prepare_corpus(config.corpus)
    _publish(layout.documents, corpus.documents, config.unit_documents, key="doc_id")
    _publish(layout.labels, corpus.labels, config.unit_labels, key="label_id")
    _publish(layout.gold, corpus.gold, config.unit_documents, key="doc_id")
    _publish(layout.rejects, corpus.rejects, config.unit_documents, key=None)
    logger.info(
        "prepare: %d documents, %d labels, %d rejected rows",
        corpus.documents.num_rows, corpus.labels.num_rows, corpus.rejects.num_rows,
    )  # fmt: skip


def _publish(step: StepOutput, table: pa.Table, rows: int, key: str | None) -> None:
    units = dict(_slices(table, rows))
    for unit, part in units.items():
        step.commit_unit(unit, part, rows_in=part.num_rows)
    step.publish(list(units), key=key)


def _slices(table: pa.Table, rows: int) -> Iterator[tuple[str, pa.Table]]:
    """(unit name, at most `rows` rows); an empty table is one empty unit."""
    for number, start in enumerate(range(0, max(table.num_rows, 1), rows)):
        yield f"{number:05d}", table.slice(start, rows)
