"""The tags of a published job as the sparse text of the extreme classification repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.sparse_rows import sparse_line
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError

BATCH_ROWS = 4096
COLUMNS = ["doc_id", "label_keys", "scores"]


def write_matrix(
    files: Sequence[str], row_ids: Sequence[str], labels: LabelSet, file: BinaryIO
) -> int:
    """Write tags as a matrix with a row for each input row and a column for each label; returns how
    many rows. An input row without tags, as it was rejected or has none, is an empty line, so that
    rows stay those of the input.

    Args:
        files: Parquet of tags, in the order of the input.
        row_ids: The document id of each input row, "" for a rejected one: its id may be that of
            another row.

    Raises:
        PublishError: Something was tagged that is none of these rows.
    """
    file.write(f"{len(row_ids)} {len(labels)}\n".encode())
    tags = _tags(files)
    waiting = next(tags, None)
    for doc_id in row_ids:
        line = ""
        if waiting is not None and waiting["doc_id"] == doc_id:
            places = labels.places(waiting["label_keys"]).tolist()
            line, waiting = sparse_line(places, waiting["scores"]), next(tags, None)
        file.write(f"{line}\n".encode())
    if waiting is not None:
        raise PublishError(f"the inputs were changed: {waiting['doc_id']!r} is no row of theirs")
    return len(row_ids)


def _tags(files: Sequence[str]) -> Iterator[dict[str, Any]]:
    for uri in files:
        with storage.open_input(uri) as source:
            for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS, columns=COLUMNS):
                yield from batch.to_pylist()
