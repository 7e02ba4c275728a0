"""The deployment of one index shard: vectors of a part of the labels, of each bundle in use."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray import serve

from lmtx_ray.bundle.cache import DESCRIPTION, INDEX, ROW_LABELS, LocalBundle, open_bundle
from lmtx_ray.io import storage
from lmtx_ray.search.approximate_file import approximate_name
from lmtx_ray.search.candidates import Candidates, merge_top_k
from lmtx_ray.search.index import IndexShard, load_shard, use_threads
from lmtx_ray.search.selection import Selection
from serve_apps.bundles import BundleConfig, Bundles, ReplicaState


@dataclass(frozen=True)
class HeldShards:
    """This deployment's files of one bundle's index."""

    bundle_id: str
    shards: list[IndexShard]
    held: LocalBundle

    def search(
        self, vectors_BD: np.ndarray, k: int, selection: Selection | None = None
    ) -> Candidates:
        """Merged candidates, as of one index; of a selection of all its labels those alone."""
        return merge_top_k([one.search(vectors_BD, k, selection) for one in self.shards], k)


def load_held(uri: str, number: int, of: int) -> HeldShards:
    """Files number, number + of, … of a bundle: any bundle fits any number of deployments. No other
    is fetched, unless the bundle is of a time when it did not say how many rows they have."""
    held = open_bundle(uri, lambda name: name == DESCRIPTION)
    description = storage.read_json(f"{held.folder}/{DESCRIPTION}")
    files, rows = held.published.index_files(), description.get("index_rows")
    mine = files[number::of] if rows else files
    beside = {f"{INDEX}{approximate_name(file)}" for file in range(number, len(files), of)}
    held = open_bundle(uri, lambda name: name in {DESCRIPTION, ROW_LABELS, *mine, *beside})
    shards = [
        load_shard(f"{held.folder}/index", file, sum(rows[:file]) if rows else None)
        for file in range(number, len(files), of)
    ]
    return HeldShards(description["bundle_id"], shards, held)


@serve.deployment(
    name="Shard",
    max_ongoing_requests=32,
    max_queued_requests=256,
    max_surge_percent=100,
    health_check_period_s=10,
    ray_actor_options={"num_cpus": 0.1},
)
class Shard:
    """Searches in a thread; answers None for a bundle it does not hold."""

    def __init__(self, number: int, of: int, threads: int) -> None:
        self._number, self._of = number, of
        self._executor = ThreadPoolExecutor(1, "search", use_threads, (threads,))
        self._bundles: Bundles[HeldShards] = Bundles(self._load, self._check)

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve's hook for a new `user_config`."""
        await self._bundles.apply(BundleConfig(**config))

    async def _load(self, uri: str) -> HeldShards:
        return await asyncio.to_thread(load_held, uri, self._number, self._of)

    async def _check(self, held: HeldShards) -> str:
        """Every vector finds itself first, or an equal one before it."""
        for shard in held.shards:
            rows = shard.first_rows(4)
            ids_BK, scores_BK = shard.search(rows, 1)
            own = np.einsum("ld,ld->l", rows.astype(np.float64), rows.astype(np.float64))
            if not np.isfinite(scores_BK).all() or (scores_BK[:, 0] < own - 1e-3).any():
                return f"shard from row {shard.start}: its own vectors are not found"
            if shard.labels_L is None and (ids_BK < shard.start).any():
                return f"shard from row {shard.start}: ids of other rows"
        return ""

    async def search(
        self,
        bundle_id: str,
        vectors_BD: np.ndarray,
        k: int,
        selection: Selection | None = None,
    ) -> Candidates | None:
        """ids_BK and scores_BK of this part of the label set, or of what a selection has of it."""
        held = self._bundles.get(bundle_id)
        if held is None:
            return None
        if not held.shards:
            shape = (len(vectors_BD), 0)
            return np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, held.search, vectors_BD, k, selection)

    async def state(self) -> ReplicaState:
        """Which replica this is, what it holds, and how a promotion goes."""
        return self._bundles.state(serve.get_replica_context().replica_id.unique_id)

    async def check_health(self) -> None:
        """Serve's hook: the index is there and finds its own vectors."""
        if self._bundles.ready and (problem := await self._check(self._bundles.active)):
            raise RuntimeError(problem)
