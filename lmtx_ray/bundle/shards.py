"""Some shards of a bundle's index: what a process holds that does not hold the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmtx_ray.bundle.cache import (
    DESCRIPTION,
    INDEX,
    ROW_LABELS,
    LocalBundle,
    open_bundle,
    published_bundle,
)
from lmtx_ray.io import storage
from lmtx_ray.search import row_labels
from lmtx_ray.search.approximate_file import approximate_name
from lmtx_ray.search.candidates import Candidates, merge_top_k
from lmtx_ray.search.index import IndexShard, load_shard
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.shard_file import shard_name


@dataclass(frozen=True)
class HeldShards:
    """The files of some shards of one bundle's index."""

    bundle_id: str
    shards: list[IndexShard]
    held: LocalBundle

    def search(
        self, vectors_BD: np.ndarray, k: int, selection: Selection | None = None
    ) -> Candidates:
        """Merged candidates, as of one index; of a selection of all its labels those alone."""
        return merge_top_k([one.search(vectors_BD, k, selection) for one in self.shards], k)


def load_held(uri: str, number: int, of: int) -> HeldShards:
    """Files number, number + of, … of a bundle: any bundle fits any number of deployments."""
    files = len(published_bundle(uri).index_files())
    return load_shards(uri, range(number, files, of))


def load_shards(uri: str, numbers: Sequence[int]) -> HeldShards:
    """The shards of these numbers. No other is fetched, unless the bundle is of a time when it did
    not say how many rows they have.

    Raises:
        PublishError: Not a published bundle, or a file was changed.
    """
    held = open_bundle(uri, lambda name: name == DESCRIPTION)
    description = storage.read_json(f"{held.folder}/{DESCRIPTION}")
    files, rows = held.published.index_files(), description.get("index_rows")
    mine = [files[number] for number in numbers] if rows else files
    beside = {f"{INDEX}{approximate_name(number)}" for number in numbers}
    held = open_bundle(uri, lambda name: name in {DESCRIPTION, ROW_LABELS, *mine, *beside})
    shards = [
        load_shard(f"{held.folder}/index", number, sum(rows[:number]) if rows else None)
        for number in numbers
    ]
    return HeldShards(description["bundle_id"], shards, held)


def load_index_shards(uri: str, starts: Mapping[int, int]) -> HeldShards:
    """Shards of a published index that is in no bundle yet: number -> the rows before it.

    Raises:
        PublishError: Nothing is published there, or a file was changed.
    """
    names = {row_labels.FILE, *map(shard_name, starts), *map(approximate_name, starts)}
    held = open_bundle(uri, lambda name: name in names)
    shards = [load_shard(held.folder, number, start) for number, start in starts.items()]
    return HeldShards(held.published.key, shards, held)
