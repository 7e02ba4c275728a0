"""The deployment of one index shard: vectors of a part of the labels, of each bundle in use."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ray import serve

from lmtx_ray.bundle.shards import HeldShards, load_held
from lmtx_ray.search.candidates import Candidates
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.threads import use_threads
from serve_apps.bundles import BundleConfig, Bundles, ReplicaState


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
