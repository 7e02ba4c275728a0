"""The label set: a file of labels to units of the `labels` table.

A label's id is its place in the file, so a bad row would shift the meaning of every gold index
after it, and is an error of the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import KEYS, LABEL_TEXTS
from lmtx_ray.corpus.documents import first_field, kind_of
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row
from lmtx_ray.corpus.readers import read_rows
from lmtx_ray.corpus.text_keys import SPACES
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.unique import hash_keys, repeated


def publish_labels(config: CorpusConfig, output: Dataset, rows: int) -> None:
    """Publish the label set in units of `rows` rows, of which one is in memory.

    Raises:
        CorpusError: A bad row, an empty text, a repeated key or an empty file.
    """
    units = []
    for number, table in enumerate(label_tables(config, rows)):
        # the size is in the name: another size, after a kill, must not mix with what is there
        units.append(f"{number:05d}-{rows}")
        output.commit_table(units[-1], table, rows_in=table.num_rows, key="label_key")
    output.publish(units, key="label_key")


def label_tables(config: CorpusConfig, rows: int) -> Iterator[pa.Table]:
    """The label set in tables of `rows` rows; label_id is the place in the file, from 0. Raises as
    `publish_labels`."""
    waiting: list[Row] = []
    hashes: list[np.ndarray] = []
    total = 0

    def flush() -> pa.Table:
        table = schemas.conform(
            pa.Table.from_pylist(waiting, schema=schemas.LABELS), schemas.LABELS
        )
        hashes.append(np.frombuffer(hash_keys(table["label_key"]), np.uint64))
        waiting.clear()
        return table

    for _, label in _labels(config):
        waiting.append({**label, "label_id": total})
        total += 1
        if len(waiting) == rows:
            yield flush()
    if waiting:
        yield flush()
    if not total:
        raise CorpusError(f"{config.labels}: no labels")
    if len(repeated(np.concatenate(hashes))):
        _refuse_repeated(config)


def _refuse_repeated(config: CorpusConfig) -> None:
    """Reads the file again, to name the row; equal hashes of different keys are fine."""
    seen: set[str] = set()
    for position, label in _labels(config):
        if label["label_key"] in seen:
            raise CorpusError(
                f"{config.labels} row {position}: duplicate key {label['label_key']!r}"
            )
        seen.add(label["label_key"])


def _labels(config: CorpusConfig) -> Iterator[tuple[int, Row]]:
    uri, columns = config.labels, config.columns
    required = [name for name in (columns.label_key, columns.label_text) if name]
    if not storage.exists(uri):
        raise CorpusError(f"no such file: {uri}")
    kind, encoding = kind_of(uri, config), config.encoding
    for position, row in read_rows(uri, kind, required, encoding=encoding):
        label = row if isinstance(row, BadRow) else _label(row, columns)
        if isinstance(label, BadRow):
            raise CorpusError(f"{uri} row {position}: {label.reason}")
        yield position, label


def _label(row: Row, columns: ColumnMap) -> Row | BadRow:
    key_name, key = first_field(row, columns.label_key, KEYS)
    text_name, text = first_field(row, columns.label_text, LABEL_TEXTS)
    key = str(key) if isinstance(key, int) else key
    for name, value in ((key_name, key), (text_name, text)):
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return BadRow(f"field {name!r} needs a text, got {value!r}")
    extra = {name: row.get(name) for name in ("description", "aliases", "parent_keys")}
    return {"label_key": key, "text": SPACES.sub(" ", text).strip(), **extra}
