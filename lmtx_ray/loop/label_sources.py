"""The label set that tags and gold are read by: a file of labels, a bundle, a run, or a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.corpus.label_set import FILE, LabelSet
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import UTF8
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.published import MANIFEST, PublishedFolder

ROWS = 4096


def label_names(given: Any, encoding: str = UTF8) -> LabelNames:
    """Of a table (what pa.table() takes), or of a URI: a published step of labels, a bundle, a run
    (its newest bundle), or a file of labels as a run reads it, of which lines that are not UTF-8
    have this `encoding`.

    Raises:
        CorpusError: A file with a bad row.
        ValueError: A table without label_key, or whose label ids are not 0, 1, 2, …
        PublishError: A folder that holds none of these, or a run without a bundle yet.
    """
    if isinstance(given, LabelNames):
        return given
    if not isinstance(given, str):
        return _of_table(given if isinstance(given, pa.Table) else pa.table(given))
    given = resolve(given)
    if storage.exists(storage.join(given, MANIFEST)):
        manifest = PublishedFolder(given).manifest()
        return _of_bundle(given) if manifest.files else _of_table(PublishedFolder(given).read())
    if (
        given.endswith(".parquet")
        and "label_id" in (table := storage.read_table(given)).schema.names
    ):
        return _of_table(table)
    config = CorpusConfig(documents=(given,), labels=given, encoding=encoding)
    return LabelNames.of(label_tables(config, ROWS))


def _of_bundle(uri: str) -> LabelNames:
    held = open_bundle(uri, lambda name: name == FILE)
    labels = LabelSet.load(held.folder)
    return LabelNames(labels.keys_by_place, labels.texts)


def _of_table(table: pa.Table) -> LabelNames:
    if "label_key" not in table.column_names:
        there = ", ".join(table.column_names)
        raise ValueError(f"labels: label_id and label_key are needed, there are: {there}")
    if "label_id" in table.column_names:
        table = table.sort_by("label_id")
        if not np.array_equal(table["label_id"].to_numpy(), np.arange(table.num_rows)):
            raise ValueError("labels: their label_id are not 0, 1, 2, … without a gap")
    keys = table["label_key"]
    return LabelNames(keys, table["text"] if "text" in table.column_names else keys)
