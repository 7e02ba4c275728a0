"""Units through a chain of Ray Data stages, of which each holds a part of the index.

The first stage makes the vectors of a unit, each of the next searches its shards and keeps the best
so far, and the last commits the unit. So no worker needs memory for more than its shards, and what
is committed does not depend on the cut: the answers of all shards merged are those of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import ray

from lmtx_ray.bundle.searching import Search
from lmtx_ray.bundle.shards import load_shards
from lmtx_ray.config.resources import Resources
from lmtx_ray.io import halting
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.io.units import Unit
from lmtx_ray.search.candidates import Candidates, merge_top_k
from lmtx_ray.stages.board import Board, post_now, post_to
from lmtx_ray.stages.passed import PASSED, Passed, row_of
from lmtx_ray.stages.resources import as_pool
from lmtx_ray.stages.units import MOST_BLOCKS, receipts_of
from lmtx_ray.stages.workers import ERRORS, key_of, told
from lmtx_ray.teacher.protocol import Halted

QUERIES = 512  # searched at a time, as the memory of a search grows with them
LEAST = 1 / 64  # of a CPU or GPU: Ray counts in ten thousandths


class Step(Protocol):
    """What a stage does with a unit. It is built once an actor."""

    def __call__(self, passed: Passed) -> Passed | Receipt:
        """The unit for the next stage, or the receipt that counts."""


@dataclass(frozen=True)
class Stage:
    """A stage: what makes its Step, with these arguments. `memory` is what an actor maps, in bytes:
    Ray puts it where there is so much."""

    step: Callable[..., Step]
    kwargs: Mapping[str, Any]
    pool: Resources = field(default_factory=Resources)
    memory: int = 0


class SearchShards:
    """Step: the best labels so far, and of some shards."""

    def __init__(self, bundle: str, numbers: Sequence[int]) -> None:
        self._shards = load_shards(bundle, numbers)

    def __call__(self, passed: Passed) -> Passed:
        """The same unit with what was found here too."""
        pairs = zip(passed.searches, passed.found, strict=True)
        found = [self._better(passed.vectors_ND, search, before) for search, before in pairs]
        return replace(passed, found=found)

    def _better(self, vectors_ND: np.ndarray, search: Search, before: Candidates) -> Candidates:
        parts = [_none(search.k)]
        for start in range(0, len(search.places), QUERIES):
            own = slice(start, start + QUERIES)
            asked_BD = vectors_ND[search.places[own]]
            here = self._shards.search(asked_BD, search.k, search.selection)
            parts.append(merge_top_k([(before[0][own], before[1][own]), here], search.k))
        ids, scores = zip(*parts, strict=True)
        return np.concatenate(ids), np.concatenate(scores)


def _none(k: int) -> Candidates:
    """Those of no document."""
    return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)


class Station:
    """Ray Data callable of a stage: rows of PASSED in, the same units out. Where a unit is through,
    as it is committed or as something is wrong with it, the row is handed on as it is."""

    def __init__(self, step: Callable[..., Step], kwargs: Mapping[str, Any], board: Board) -> None:
        self._step, self._board = step(**kwargs), board

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows after this stage, in order."""
        with halting.heeding(post_to(self._board)):
            rows = [self._next(row) for row in table.to_pylist()]
        post_now()
        return pa.Table.from_pylist(rows, schema=PASSED)

    def _next(self, row: dict[str, Any]) -> dict[str, Any]:
        if row.get("receipt"):
            return row
        passed = Passed.of_row(row)
        try:
            if halting.current().is_set():
                raise Halted("not begun")
            made = self._step(passed)
            if isinstance(made, Passed):
                return made.to_row()
            receipt = made.without_keys().to_dict()
        except tuple(ERRORS.values()) as error:
            receipt = told(error)
        said = {"key": key_of(passed.unit, passed.target), "receipt": receipt}
        return {**row_of(passed.unit, passed.target), "receipt": json.dumps(said)}


def stream_chain(
    units: Sequence[tuple[Unit, int]], stages: Sequence[Stage], board: Board
) -> Iterator[tuple[str, Receipt]]:
    """Receipts of units (each with the place of its target) as they are done, by their keys.
    Raises what a stage met."""
    rows = [row_of(unit, target) for unit, target in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    for stage in stages:
        dataset = dataset.map_batches(
            Station,
            batch_format="pyarrow",
            batch_size=1,
            fn_constructor_kwargs={"step": stage.step, "kwargs": stage.kwargs, "board": board},
            memory=stage.memory or None,
            **as_pool(stage.pool),
        )
    yield from receipts_of(dataset, board)


def in_chain(first: Stage, searching: Sequence[Stage], last: Stage, size: int) -> list[Stage]:
    """The stages with their pools: of one to `size` actors, that ask for so little that one of each
    has room at the same time. GPUs are for the vectors and for their products."""
    stages = [first, *searching, last]
    cpus, gpus = share_of("CPU", len(stages)), share_of("GPU", len(stages) - 1)
    pools = [Resources(actors=(1, size), cpus=cpus or 1, gpus=gpus) for _ in stages[:-1]]
    pools.append(Resources(actors=(1, size), cpus=cpus or 1))
    return [replace(stage, pool=pool) for stage, pool in zip(stages, pools, strict=True)]


def share_of(resource: str, actors: int) -> float:
    """How much of a resource each of so many actors gets: 1, a half, a quarter, … so that all have
    room on the nodes there are now; 0 where no node has any."""
    there = [node["Resources"].get(resource, 0) for node in ray.nodes() if node["Alive"]]
    if not any(there):
        return 0.0
    each = 1.0
    while each > LEAST and sum(int(amount / each) for amount in there) < actors:
        each /= 2
    return each
