"""A bundle as one replica holds it: where its index is makes no difference to the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.tagger import Ranked, Tagger
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.candidates import Candidates, merge_top_k
from serve_apps.reasons import Reasons

Row = dict[str, Any]


@dataclass(frozen=True)
class TagCall:
    """One request's documents, (id, title, text) each, and what its tags may look like; None is the
    bundle's default.

    `bundle_id` asks for the answer of that bundle and no other.
    """

    documents: list[tuple[str, str | None, str]]
    top_k: int | None = None
    min_probability: float | None = None
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    explain: bool = False
    bundle_id: str | None = None

    def tokens(self, most: int) -> int:
        """About how many tokens the encoder will see; `most` is where a document is cut."""
        return sum(min(len(text) // 4 + 1, most) for _, _, text in self.documents)


@dataclass
class Answer:
    """`rows` like the `tags` table's; `error` instead, where there are none. Seconds by stage, and
    of the stage search by shard where there are any."""

    bundle_id: str = ""
    rows: list[Row] = field(default_factory=list)
    partial: bool = False
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    shard_seconds: tuple[float, ...] = ()
    batch_documents: int = 0
    tokens: int = 0
    wanted: Defaults = field(default_factory=Defaults)  # what was asked for, or the bundle's own


@dataclass(frozen=True)
class Found:
    """Dense candidates, whether shards were missing, and the seconds that each took."""

    dense: Candidates
    partial: bool = False
    seconds_S: tuple[float, ...] = ()


class ShardSearch(Protocol):
    """Searches an index that is elsewhere; MissingShard where it may not leave one out."""

    async def __call__(self, bundle_id: str, vectors_BD: np.ndarray, k: int) -> Found:
        """Candidates in a bundle's index, k for each of the vectors, float32 [B, D]."""


class Generation:
    """One loaded bundle; model work runs in `executor`, off the event loop."""

    def __init__(self, tagger: Tagger, executor: Executor, shards: ShardSearch | None) -> None:
        self.tagger, self.bundle_id, self.about = tagger, tagger.bundle_id, tagger.about
        self._executor, self._shards = executor, shards
        self.most_tokens = tagger.encoder.max_tokens

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def _wanted(self, call: TagCall) -> Defaults:
        return self.tagger.defaults.or_else(call.top_k, call.min_probability)

    async def answer(self, calls: Sequence[TagCall]) -> list[Answer]:
        """An Answer for each call; their documents go through the encoder together."""
        texts = [
            [document_text(title, text) for _, title, text in call.documents] for call in calls
        ]
        documents = [text for call in texts for text in call]
        depth = self.tagger.depth(max(self._wanted(call).top_k for call in calls))
        if self._shards is None:
            answers = await self._run(self._whole, calls, texts, documents, depth)
        else:
            started = time.perf_counter()
            vectors_BD = await self._run(self.tagger.encode, documents)
            encoded = time.perf_counter()
            found = await self._shards(self.bundle_id, vectors_BD, depth)
            spent = {"encode": encoded - started, "search": time.perf_counter() - encoded}
            given = texts, documents, vectors_BD, found, spent
            answers = await self._run(self._finish, calls, *given)
        return answers

    def _whole(
        self, calls: Sequence[TagCall], texts: list[list[str]], documents: list[str], depth: int
    ) -> list[Answer]:
        started = time.perf_counter()
        vectors_BD = self.tagger.encode(documents)
        encoded = time.perf_counter()
        found = Found(self.tagger.search(vectors_BD, depth))
        spent = {"encode": encoded - started, "search": time.perf_counter() - encoded}
        return self._finish(calls, texts, documents, vectors_BD, found, spent)

    def _finish(
        self,
        calls: Sequence[TagCall],
        texts: list[list[str]],
        documents: list[str],
        vectors_BD: np.ndarray,
        found: Found,
        spent: dict[str, float],
    ) -> list[Answer]:
        started = time.perf_counter()
        answers, start = [], 0
        for call, own in zip(calls, texts, strict=True):
            span = slice(start, start + len(own))
            # of its own depth, so that company changes no fused score
            depth = self.tagger.depth(self._wanted(call).top_k)
            dense = found.dense[0][span, :depth], found.dense[1][span, :depth]
            rows = self._rows(call, own, self.tagger.rank(own, vectors_BD[span], dense))
            answer = Answer(self.bundle_id, rows, found.partial, wanted=self._wanted(call))
            answers.append(answer)
            start += len(own)
        spent = {**spent, "rank": time.perf_counter() - started}
        for answer, call in zip(answers, calls, strict=True):
            answer.seconds, answer.batch_documents = spent, len(documents)
            answer.shard_seconds = found.seconds_S
            answer.tokens = call.tokens(self.most_tokens)
        return answers

    def _rows(self, call: TagCall, documents: list[str], ranked: Ranked) -> list[Row]:
        ids = [doc_id for doc_id, _, _ in call.documents]
        wanted = self._wanted(call)
        rows = self.tagger.answers(ids, documents, ranked, wanted, call.allow, call.deny)
        reasons = Reasons(self.tagger, call, ranked, wanted.min_probability)
        for place, (row, document) in enumerate(zip(rows, documents, strict=True)):
            if not row["label_keys"] and not row["reason"]:
                row["reason"] = reasons.why_none(document, place)
        if call.explain:
            for place, (row, document) in enumerate(zip(rows, documents, strict=True)):
                keys = row["label_keys"]
                row["parents"] = [self.tagger.labels.parents(key) for key in keys]
                row["evidence"] = [
                    self.tagger.explain(document, ranked, place, key) for key in keys
                ]
        return rows

    async def check(self) -> str:
        """Ask the bundle's canaries on the way a request takes; "" if the answers are right."""
        canaries = canary.Canaries.load(self.tagger.folder)
        call = TagCall([("", None, text) for text in canaries.texts], canary.TOP_K, 0.0)
        (answer,) = await self.answer([call])
        if answer.partial:
            return "index shards are missing"
        return canary.deviation(canaries, answer.rows)


def merge_shards(parts: Sequence[Candidates | None], k: int) -> Found:
    """Candidates of all shards; a None is a shard that is missing."""
    there = [part for part in parts if part is not None]
    return Found(merge_top_k(there, k), partial=len(there) < len(parts))
