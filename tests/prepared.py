"""A corpus prepared as a run prepares it, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.prepare import prepare
from lmtx_ray.loop.run_config import RunConfig


@dataclass(frozen=True)
class Prepared:
    """The published tables of a run."""

    documents: pa.Table
    labels: pa.Table
    rejects: pa.Table
    test: Prepared | None
    gold: pa.Table | None = None
    label_rejects: pa.Table | None = None


def prepare_corpus(folder: Path, config: CorpusConfig, **settings: object) -> Prepared:
    """Prepare `config` in a run below `folder`."""
    layout = run_prepare(folder, config, **settings)
    test = None
    if layout.test:
        tables = layout.test.documents.read(), layout.labels.read(), layout.test.rejects.read()
        test = Prepared(*tables, None, layout.test.gold.read())
    tables = layout.documents.read(), layout.labels.read(), layout.rejects.read()
    return Prepared(*tables, test, label_rejects=layout.label_rejects.read())


def run_prepare(folder: Path, corpus: CorpusConfig, **settings: object) -> Layout:
    config = RunConfig.model_validate(
        {
            "run": str(folder / "run"),
            "corpus": corpus,
            "encoder": {"model": "some/encoder"},
            "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
            **settings,
        }
    )
    layout = lay_out(config)
    prepare(config, layout)
    return layout
