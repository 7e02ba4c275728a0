"""Raw files to the published documents, labels, gold and rejects of a run."""

from __future__ import annotations

import logging

from lmtx_ray.corpus import prepare_corpus
from lmtx_ray.layout import Layout
from lmtx_ray.settings import RunConfig

logger = logging.getLogger(__name__)


def prepare(config: RunConfig, layout: Layout) -> None:
    """Publish the corpus tables; a complete corpus is left alone."""
    steps = (layout.documents, layout.labels, layout.gold, layout.rejects)
    if all(step.is_complete() for step in steps):
        logger.info("prepare: complete")
        return
    corpus = prepare_corpus(config.corpus)
    layout.documents.publish_table(corpus.documents, config.unit_documents, key="doc_id")
    layout.labels.publish_table(corpus.labels, config.unit_labels, key="label_id")
    layout.gold.publish_table(corpus.gold, config.unit_documents, key="doc_id")
    layout.rejects.publish_table(corpus.rejects, config.unit_documents)
    logger.info(
        "prepare: %d documents, %d labels, %d rejected rows",
        corpus.documents.num_rows, corpus.labels.num_rows, corpus.rejects.num_rows,
    )  # fmt: skip
