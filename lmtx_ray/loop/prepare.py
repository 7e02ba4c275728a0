"""Raw files to the published documents, labels, gold and rejects of a run."""

from __future__ import annotations

import logging

from lmtx_ray.corpus.documents import prepare_corpus
from lmtx_ray.corpus.schemas import DOCUMENTS
from lmtx_ray.corpus.text_keys import document_keys
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig

logger = logging.getLogger(__name__)


def prepare(config: RunConfig, layout: Layout) -> None:
    """Publish the corpus tables; a complete corpus is left alone."""
    steps = [layout.documents, layout.labels, layout.rejects]
    if layout.test:
        steps += [layout.test.documents, layout.test.gold, layout.test.rejects]
    if all(step.is_complete() for step in steps):
        logger.info("prepare: complete")
        return
    corpus = prepare_corpus(config.corpus)
    tables = [corpus.documents, corpus.labels, corpus.rejects]
    if corpus.test:
        tables += [corpus.test.documents, corpus.test.gold, corpus.test.rejects]
    keys = ["doc_id", "label_id", None, "doc_id", "doc_id", None]
    for step, table, key in zip(steps, tables, keys, strict=False):
        rows = config.unit_labels if key == "label_id" else config.unit_documents
        if not step.is_complete():
            # documents of one text are one question: their unit asks it once for all of them
            texts = document_keys(table) if table.schema.names == DOCUMENTS.names else []
            step.publish_table(table, rows, key=key, groups=texts)
    tested = corpus.test.documents.num_rows if corpus.test else 0
    rejected = corpus.rejects.num_rows + (corpus.test.rejects.num_rows if corpus.test else 0)
    logger.info(
        "prepare: %d documents, %d to test on, %d labels, %d rejected rows",
        corpus.documents.num_rows,
        tested,
        corpus.labels.num_rows,
        rejected,
    )
