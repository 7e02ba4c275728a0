"""A bundle as one replica holds it: where its index is makes no difference to the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.ranking import Ranked
from lmtx_ray.bundle.searching import Search, part_of
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus.filters import Filter, UnknownKeys, unknown_in_words
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.candidates import Candidates, merge_top_k
from lmtx_ray.search.selection import Selection

Row = dict[str, Any]
Place = tuple[str | int, ...]  # a path into the request
UNKNOWN_KEYS = "unknown_keys"
MOST_SUGGESTED = 5  # wrong keys, beyond which no near ones are named: that keeps the model's thread


@dataclass(frozen=True)
class TagCall:
    """One request's documents, (id, title, text) each, and what its tags may look like; None is the
    bundle's default. `filters` are of each document, beside the `filter` of all; none if empty.

    `bundle_id` asks for the answer of that bundle and no other. `first` is the place of the first
    document in what the client sent.
    """

    documents: list[tuple[str, str | None, str]]
    top_k: int | None = None
    min_probability: float | None = None
    filter: Filter = field(default_factory=Filter)
    filters: tuple[Filter, ...] = ()
    explain: bool = False
    bundle_id: str | None = None
    first: int = 0

    def tokens(self, most: int) -> int:
        """About how many tokens the encoder will see; `most` is where a document is cut."""
        sizes = (len(title or "") + len(text) for _, title, text in self.documents)
        return sum(min(size // 4 + 1, most) for size in sizes)

    def asked(self) -> list[tuple[Filter, ...]]:
        """The filters that each document's tags have to fulfil."""
        if not self.filters:
            return [(self.filter,)] * len(self.documents)
        return [(self.filter, own) for own in self.filters]


@dataclass
class Answer:
    """`rows` like the `tags` table's; `error` instead, where there are none, with `problems`, where
    in the request and what. Seconds by stage, and of the stage search by shard where there are
    any."""

    bundle_id: str = ""
    rows: list[Row] = field(default_factory=list)
    partial: bool = False
    error: str = ""
    problems: tuple[tuple[Place, str], ...] = ()
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


@dataclass
class _Work:
    """One pass: calls whose filters are good, the documents of all of them one after the other, and
    the answers of the other calls by their place."""

    calls: list[TagCall] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    selections: list[Selection | None] = field(default_factory=list)
    refused: dict[int, Answer] = field(default_factory=dict)
    searches: list[Search] = field(default_factory=list)
    found: Sequence[Found] = ()
    vectors_BD: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @cached_property
    def documents(self) -> list[str]:
        return [text for call in self.texts for text in call]

    def in_order(self, answers: Sequence[Answer]) -> list[Answer]:
        """The answers of the good calls, and between them those of the others."""
        good = iter(answers)
        total = len(answers) + len(self.refused)
        return [self.refused.get(place) or next(good) for place in range(total)]


class MissingShard(RuntimeError):
    """A shard did not answer, and answers without it are not allowed."""


class PartialAnswer(MissingShard):
    """Canaries were answered without a shard, as is allowed, so they tell nothing."""


class ShardSearch(Protocol):
    """Searches an index that is elsewhere; MissingShard where it may not leave one out."""

    async def __call__(
        self, bundle_id: str, vectors_BD: np.ndarray, k: int, selection: Selection | None
    ) -> Found:
        """Candidates in a bundle's index, k for each of the vectors, float32 [B, D], among all
        labels or those of a selection."""


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
        if self._shards is None:
            return list(await self._run(self._whole, calls))
        work = await self._run(self._begin, calls)
        started = time.perf_counter()
        work.vectors_BD = await self._run(self.tagger.encode, work.documents)
        encoded = time.perf_counter()
        work.found = await asyncio.gather(
            *(
                self._shards(self.bundle_id, work.vectors_BD[one.places], one.k, one.selection)
                for one in work.searches
            )
        )
        spent = {"encode": encoded - started, "search": time.perf_counter() - encoded}
        return list(await self._run(self._finish, work, spent))

    def _begin(self, calls: Sequence[TagCall]) -> _Work:
        work = _Work()
        depths: list[int] = []
        for place, call in enumerate(calls):
            selections, problems = self._select(call)
            if problems:
                said = Answer(self.bundle_id, error=UNKNOWN_KEYS, problems=problems)
                work.refused[place] = said
                continue
            work.calls.append(call)
            work.texts.append([document_text(title, text) for _, title, text in call.documents])
            work.selections += selections
            depths += [self.tagger.depth(self._wanted(call).top_k)] * len(selections)
        work.searches = self.tagger.searches(work.selections, depths)
        return work

    def _select(self, call: TagCall) -> tuple[list[Selection | None], tuple[Any, ...]]:
        """(the selection of each document, what is wrong with the filters)."""
        try:
            return list(self.tagger.select(call.asked())), ()
        except UnknownKeys:
            parts: list[tuple[Place, Filter]] = [(("body",), call.filter)]
            parts += [
                (("body", "documents", call.first + place), own)
                for place, own in enumerate(call.filters)
            ]
        problems: list[tuple[Place, str]] = []
        wrong = 0
        for place, own in parts:
            for name, keys in self.tagger.unknown_keys(own).items():
                said = unknown_in_words(self.tagger.labels, keys, near=wrong < MOST_SUGGESTED)
                problems.append(((*place, name), said))
                wrong += len(keys)
        return [], tuple(problems)

    def _whole(self, calls: Sequence[TagCall]) -> list[Answer]:
        work = self._begin(calls)
        started = time.perf_counter()
        work.vectors_BD = self.tagger.encode(work.documents)
        encoded = time.perf_counter()
        work.found = [
            Found(self.tagger.search(work.vectors_BD[one.places], one.k, one.selection))
            for one in work.searches
        ]
        spent = {"encode": encoded - started, "search": time.perf_counter() - encoded}
        return self._finish(work, spent)

    def _finish(self, work: _Work, spent: dict[str, float]) -> list[Answer]:
        started = time.perf_counter()
        partial = any(found.partial for found in work.found)
        answers, start = [], 0
        for call, own in zip(work.calls, work.texts, strict=True):
            ranked = self._ranked(work, call, own, start)
            rows = self._rows(call, own, ranked)
            answers.append(Answer(self.bundle_id, rows, partial, wanted=self._wanted(call)))
            start += len(own)
        spent = {**spent, "rank": time.perf_counter() - started}
        shard_seconds = [found.seconds_S for found in work.found if found.seconds_S]
        for answer, call in zip(answers, work.calls, strict=True):
            answer.seconds, answer.batch_documents = spent, len(work.documents)
            answer.shard_seconds = tuple(map(max, zip(*shard_seconds, strict=True)))
            answer.tokens = call.tokens(self.most_tokens)
        return work.in_order(answers)

    def _ranked(self, work: _Work, call: TagCall, documents: list[str], start: int) -> Ranked:
        """Of a call's own depth, so that company changes no fused score."""
        depth = self.tagger.depth(self._wanted(call).top_k)
        span = range(start, start + len(documents))
        searched, found = part_of(work.searches, [one.dense for one in work.found], span)
        selections = work.selections[span.start : span.stop]
        vectors_BD = work.vectors_BD[span.start : span.stop]
        return self.tagger.rank(documents, vectors_BD, searched, found, selections, depth)

    def _rows(self, call: TagCall, documents: list[str], ranked: Ranked) -> list[Row]:
        ids = [doc_id for doc_id, _, _ in call.documents]
        rows = self.tagger.answers(ids, documents, ranked, self._wanted(call), call.asked())
        if call.explain:
            for place, (row, document) in enumerate(zip(rows, documents, strict=True)):
                keys = row["label_keys"]
                row["parents"] = [self.tagger.labels.parents(key) for key in keys]
                row["evidence"] = [
                    self.tagger.explain(document, ranked, place, key) for key in keys
                ]
        return rows

    async def check(self) -> str:
        """Ask the bundle's canaries on the way a request takes; "" if the answers are right.

        Raises:
            MissingShard: PartialAnswer where the others answered.
        """
        canaries = canary.Canaries.load(self.tagger.folder)
        call = TagCall([("", None, text) for text in canaries.texts], canary.TOP_K, 0.0)
        (answer,) = await self.answer([call])
        if answer.partial:
            raise PartialAnswer("index shards are missing")
        return canary.deviation(canaries, answer.rows)


def merge_shards(parts: Sequence[Candidates | None], k: int) -> Found:
    """Candidates of all shards; a None is a shard that is missing."""
    there = [part for part in parts if part is not None]
    return Found(merge_top_k(there, k), partial=len(there) < len(parts))
