"""Both indexes of the labels, from published fragments: no process holds even one shard."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.config.search import IndexConfig
from lmtx_ray.corpus.label_texts import label_texts
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.approximate import settle
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.search.index_choice import EXACT, LEAST_ROWS, bytes_of, choose, kind_of
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.row_labels import save_row_labels
from lmtx_ray.search.shard_file import shard_name, write_shard
from lmtx_ray.stages.files import build_files

logger = logging.getLogger(__name__)
GIB = 1 << 30
Piece = tuple[str, int, int]  # a fragment's URI, and which of its rows: from, to


def matrix(vectors: pa.Table) -> np.ndarray:
    """The `vector` column as a float32 array [N, D]."""
    column = vectors["vector"].combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), column.type.list_size).astype(np.float32, copy=False)


def build_index(
    vectors: Dataset,
    output: Dataset,
    config: IndexConfig,
    resources: Resources,
    name: str,
    repeats: bool = False,
) -> None:
    """Publish an index of label vectors in even shards, at most one a label. `repeats`: several of
    them may be of one label, so the index has to say of which.

    Which kind it is, where `config` leaves that open, this machine's processor decides, and whether
    the cluster has GPUs.

    Raises:
        ValueError: There is no label, or a vector is not finite.
    """
    fragments = fragments_of(vectors)
    gpus = ray.cluster_resources().get("GPU", 0) > 0
    parts = [] if output.is_complete() else index_parts(fragments, config, gpus)
    parts += [{"vectors": [uri for uri, _ in fragments]}] if repeats else []
    build_files(output, build_part, parts, resources, name)


def fragments_of(vectors: Dataset) -> list[tuple[str, int]]:
    """(URI, rows) of each fragment of published vectors."""
    units = vectors.manifest().units
    return [(storage.join(vectors.uri, unit.file), unit.rows_out) for unit in units]


def index_parts(
    fragments: Sequence[tuple[str, int]], config: IndexConfig, has_gpu: bool = False
) -> list[dict[str, Any]]:
    """Arguments of `build_shard` for each shard of all rows of `fragments`, (URI, rows) each."""
    parts = shard_parts(fragments, config.shards)
    own = {"kind": _kind(config, fragments, has_gpu), "recall": config.recall}
    return [{**part, **own} for part in parts]


def _kind(config: IndexConfig, fragments: Sequence[tuple[str, int]], has_gpu: bool) -> str:
    if config.kind != "auto":
        return config.kind
    labels = sum(rows for _, rows in fragments)
    if labels < LEAST_ROWS:
        return EXACT
    first = next(uri for uri, rows in fragments if rows)
    dimensions = matrix(storage.read_table(first)).shape[1]
    budget = config.memory_gib * GIB
    chosen = choose(labels, dimensions, budget, config.recall, has_int8(), has_gpu)
    taken = bytes_of(chosen, labels, dimensions) / GIB
    logger.info("index of %d labels: %s, %.2f GiB beside the vectors", labels, chosen, taken)
    if taken * GIB > budget:
        logger.warning("index.memory_gib is %s, and no smaller kind is known", config.memory_gib)
    return kind_of(chosen)


def shard_parts(fragments: Sequence[tuple[str, int]], shards: int) -> list[dict[str, Any]]:
    """Which rows each shard holds, as arguments of `build_shard`."""
    labels = sum(rows for _, rows in fragments)
    if labels == 0:
        raise ValueError("a label index needs at least one label")
    shards = min(shards, labels)
    ends = [labels // shards * n + min(n, labels % shards) for n in range(shards + 1)]
    return [
        {"number": n, "start": start, "pieces": list(_pieces(fragments, start, stop))}
        for n, (start, stop) in enumerate(pairwise(ends))
    ]


def _pieces(fragments: Sequence[tuple[str, int]], start: int, stop: int) -> Iterator[Piece]:
    first = 0
    for uri, rows in fragments:
        own = max(start - first, 0), min(stop - first, rows)
        if own[0] < own[1]:
            yield uri, *own
        first += rows


def build_part(folder: Path, **part: Any) -> str:
    """Write a shard's files, or the labels of all rows; what there is to tell of them."""
    return (build_row_labels if "vectors" in part else build_shard)(folder, **part)


def build_row_labels(folder: Path, vectors: Sequence[str]) -> str:
    """Write which label each row of these fragments is of; there is nothing to tell."""
    tables = (storage.read_table(uri, ["id"]) for uri in vectors)
    save_row_labels(folder, np.concatenate([ids_of(table) for table in tables]))
    return ""


def ids_of(vectors: pa.Table) -> np.ndarray:
    """Label ids int32 [N] of a `vectors` table."""
    return vectors["id"].cast(pa.int32()).combine_chunks().to_numpy()


def build_shard(
    folder: Path,
    number: int,
    start: int,
    pieces: Sequence[Piece],
    kind: str = EXACT,
    recall: float = 1.0,
) -> str:
    """Write a shard's file, and what searches it approximately if its `kind` says so; `start` is
    the label of its first row. Returns how good that is, in words."""
    blocks = (matrix(storage.read_table(uri))[first:end] for uri, first, end in pieces)
    head = next(blocks)
    shape = sum(end - first for _, first, end in pieces), head.shape[1]
    write_shard(folder / shard_name(number), chain([head], blocks), shape, start)
    settled = settle(folder, number, kind, recall)
    return settled.told(number) if settled else ""


def build_lexical(folder: Path, labels: Sequence[str], languages: Sequence[str] = ()) -> None:
    """Write the lexical index of the labels in these fragments, by all their texts."""
    tables = (storage.read_table(uri) for uri in labels)
    LexicalIndex.build(label_texts(tables), languages).save(folder)
