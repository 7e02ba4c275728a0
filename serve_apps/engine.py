"""The deployment that answers: encoder, labels, lexical side and calibration of one bundle, and its
index too where that is small."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from lmtx_ray.bundle.cache import INDEX, open_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.search.candidates import Candidates
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.threads import use_threads
from serve_apps.bundles import BundleConfig, Bundles, ReplicaState
from serve_apps.gather import Gather, PassCancelled
from serve_apps.generation import (
    Answer,
    Found,
    Generation,
    MissingShard,
    PartialAnswer,
    TagCall,
    merge_shards,
)

BUNDLE_GONE, SHARD_MISSING = "bundle_gone", "shard_missing"
SHARD_TRIES, SHARD_WAIT_SECONDS = 4, 0.15
SHARD_SECONDS = 5.0  # of all tries: a handle waits for a dead deployment to come back
CANARY_PATIENCE_SECONDS, CANARY_WAIT_SECONDS = 120.0, 1.0
PASS_TOKENS = 2048  # of the encoder at a time: more gains nothing and keeps calls waiting


@serve.deployment(name="Engine")
class Engine:
    """One pass through the model at a time, over the calls that gathered during the one before."""

    def __init__(self, threads: int, partial: bool, shards: Sequence[DeploymentHandle]) -> None:
        self._threads, self._partial, self._handles = threads, partial, list(shards)
        self._models = ThreadPoolExecutor(1, "model", use_threads, (threads,))
        self._loading = ThreadPoolExecutor(1, "loading")
        self._bundles: Bundles[Generation] = Bundles(self._load, self._check)
        self._gather = Gather(self._pass, _tokens, PASS_TOKENS)
        self._serving = False

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve's hook for a new `user_config`."""
        await self._bundles.apply(BundleConfig(**config))

    async def _load(self, uri: str) -> Generation:
        def load() -> Tagger:
            whole = not self._handles
            held = open_bundle(uri, lambda name: whole or not name.startswith(INDEX))
            return Tagger(held.folder, self._threads, with_index=whole, held=held)

        tagger = await asyncio.get_running_loop().run_in_executor(self._loading, load)
        return Generation(tagger, self._models, self._search if self._handles else None)

    async def _check(self, generation: Generation) -> str:
        """Shards may still be loading the same bundle: their turn is waited for, also where an
        answer may do without one of them."""
        give_up = time.monotonic() + CANARY_PATIENCE_SECONDS
        while True:
            try:
                return await generation.check()
            except MissingShard as error:
                if time.monotonic() > give_up:
                    return "" if isinstance(error, PartialAnswer) else str(error)
                await asyncio.sleep(CANARY_WAIT_SECONDS)

    async def tag(self, call: TagCall) -> Answer:
        """One call's answer, from the bundle it names, else from the one that answers now."""
        bundles = self._bundles
        generation = bundles.get(call.bundle_id) if call.bundle_id else bundles.active
        if generation is None:
            return Answer(error=BUNDLE_GONE)
        arrived = time.perf_counter()
        try:
            answer, began = await self._gather((generation, call))
        except PassCancelled:
            return Answer(error=SHARD_MISSING)
        answer.seconds = {"queue": began - arrived, **answer.seconds}
        return answer

    async def _pass(self, items: list[tuple[Generation, TagCall]]) -> list[tuple[Answer, float]]:
        began = time.perf_counter()
        answers: dict[int, Answer] = {}
        for generation in {id(held): held for held, _ in items}.values():
            places = [place for place, (held, _) in enumerate(items) if held is generation]
            try:
                own = await generation.answer([items[place][1] for place in places])
            except MissingShard:
                own = [Answer(error=SHARD_MISSING)] * len(places)
            answers |= dict(zip(places, own, strict=True))
        return [(answers[place], began) for place in range(len(items))]

    async def _search(
        self, bundle_id: str, vectors_BD: np.ndarray, k: int, selection: Selection | None
    ) -> Found:
        asked = bundle_id, vectors_BD, k, selection
        timed = await asyncio.gather(
            *(_timed(self._ask_shard(one, *asked)) for one in self._handles)
        )
        parts, seconds_S = zip(*timed, strict=True)
        missing = [number for number, part in enumerate(parts) if part is None]
        if missing and (not self._partial or len(missing) == len(parts)):
            raise MissingShard(f"index shards {missing} do not answer for bundle {bundle_id}")
        return replace(merge_shards(parts, k), seconds_S=seconds_S)

    async def _ask_shard(
        self,
        handle: DeploymentHandle,
        bundle_id: str,
        vectors_BD: np.ndarray,
        k: int,
        selection: Selection | None,
    ) -> Candidates | None:
        give_up = time.monotonic() + SHARD_SECONDS
        for attempt in range(SHARD_TRIES):
            if attempt:
                await asyncio.sleep(SHARD_WAIT_SECONDS * attempt)
            try:
                reply = handle.search.remote(bundle_id, vectors_BD, k, selection)
                found = await asyncio.wait_for(_result(reply), give_up - time.monotonic())
            except (RayActorError, RayServeException, TimeoutError):
                continue
            if found is not None:
                return found
        return None

    async def labels(self, query: str, limit: int) -> tuple[str, int, list[Any]]:
        """(bundle id, size of the label set, labels that fit the query)."""
        generation = self._bundles.active
        labels = generation.tagger.labels
        found = await asyncio.to_thread(labels.search, query, limit)
        return generation.bundle_id, len(labels), found

    async def label(self, key: str) -> tuple[str, Any, list[Any], str]:
        """(bundle id, the label or None, its parents, the day on which it was removed or "")."""
        generation = self._bundles.active
        labels = generation.tagger.labels
        found = labels.label(key), labels.parents(key), labels.removed.on(key) or ""
        return generation.bundle_id, *found

    async def label_texts(self, keys: Sequence[str]) -> tuple[str, dict[str, str]]:
        """(bundle id, texts of those keys that the label set has)."""
        generation = self._bundles.active
        labels = generation.tagger.labels
        return generation.bundle_id, {key: labels[key] for key in keys if key in labels}

    async def state(self) -> ReplicaState:
        """Which replica this is, what it answers with, and how a promotion goes."""
        state = self._bundles.state(serve.get_replica_context().replica_id.unique_id)
        return replace(state, defaults=vars(self._bundles.active.tagger.defaults))

    async def check_health(self) -> None:
        """Serve's hook: a replica whose own canary is wrong is replaced. A missing shard is the
        shard's fault, and replacing this replica would not mend it."""
        if not self._serving:  # Serve asks before the first reconfigure too
            self._serving = self._bundles.ready
            return
        try:
            problem = await self._bundles.active.check()
        except MissingShard:
            return
        if problem and not self._handles:
            raise RuntimeError(problem)


def _tokens(item: tuple[Generation, TagCall]) -> int:
    generation, call = item
    return call.tokens(generation.most_tokens)


async def _timed(
    asked: Coroutine[Any, Any, Candidates | None],
) -> tuple[Candidates | None, float]:
    """What comes of it, and how many seconds that took."""
    started = time.perf_counter()
    return await asked, time.perf_counter() - started


async def _result(reply: Any) -> Any:
    return await reply
