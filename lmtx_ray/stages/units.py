"""Runs a worker over units of work, each committed on its own, through Ray Data.

What flows through Ray Data is a unit's description and its receipt, not the rows: a unit's result
must depend on its input alone, whichever actor runs it and however often, so that a killed run
resumes to the same bytes. Where one worker is interrupted the others are told, keep what they have
paid for and end, before the driver raises it.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import lease, progress
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.io.stage import Stage
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.board import Board, board_for
from lmtx_ray.stages.resources import as_pool
from lmtx_ray.stages.workers import (
    ERRORS,
    Target,
    UnitActor,
    UnitWorker,
    Worker,
    key_of,
    run_one,
    unit_task,
)
from lmtx_ray.teacher.protocol import Halted, Interrupted

logger = logging.getLogger(__name__)
MOST_BLOCKS = 1000
TASKS, TASKS_A_CPU = 128, 16  # a task costs some 30 ms beside its units; more keep no CPU busier
ENDING_SECONDS = 30.0  # for other units to keep what they paid for, once one was interrupted
Waiting = Sequence[tuple[Unit, int]]  # units that are not done, each with the place of its target
Flow = Callable[[Waiting, Sequence[Target], Board], Iterator[tuple[str, Receipt]]]


@dataclass(frozen=True)
class Work:
    """A step's units. `key` is the column whose values must be unique over the step, or None."""

    output: Dataset
    units: Sequence[Unit]
    key: str | None = None


def run_units(
    works: Sequence[Work],
    worker: type[Worker | UnitWorker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
    local: bool = False,
    calls: int = 1,
    price: Mapping[str, float] | None = None,
    order: Callable[[str], Any] | None = None,
) -> None:
    """Run every unit not yet done, of several steps through one pool; then publish each step.

    Args:
        works: The steps; a published one is left alone.
        worker: Its class, importable on the actors; `kwargs` are its constructor arguments.
        resources: Pool size, or tasks, and what each asks for.
        name: What to call the steps in progress lines.
        local: In this process: what is little is done before a pool has started.
        calls: Units that an actor works on at once, in threads.
        price: Of a million tokens (prompt, answer), where a judge is asked.
        order: What units are sorted by, a function of their names; in the order given if None.
    """
    works = [work for work in works if not work.output.is_complete()]
    if not works:
        logger.info("%s: complete", name)
        return
    do_units(works, worker, kwargs, resources, name, local, calls, price, order)
    for work in works:
        work.output.publish([unit.name for unit in work.units], key=work.key)


def do_units(
    works: Sequence[Work],
    worker: type[Worker | UnitWorker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
    local: bool = False,
    calls: int = 1,
    price: Mapping[str, float] | None = None,
    order: Callable[[str], Any] | None = None,
) -> None:
    """Run every unit not yet done, and publish nothing."""
    waiting = _waiting(works, name)
    if order is not None:
        waiting = sorted(waiting, key=lambda one: order(one[0].name))
    if waiting:
        targets, sizes = _targets(works), _sizes(waiting)
        if local:
            receipts, look = _here(waiting, targets, worker(**kwargs)), progress.snapshot
        else:
            board = board_for(f"{name} {uuid.uuid4().hex[:8]}")
            receipts = stream(waiting, targets, worker, kwargs, resources, board, calls)
            look = board.look
        what = getattr(worker, "counts", "rows")
        follow(receipts, Stage(name, sizes, look, what, price=price))


def run_flow(works: Sequence[Work], flow: Flow, name: str) -> None:
    """`run_units` by another way through Ray than one pool."""
    works = [work for work in works if not work.output.is_complete()]
    if works and (waiting := _waiting(works, name)):
        board = board_for(f"{name} {uuid.uuid4().hex[:8]}")
        receipts = flow(waiting, _targets(works), board)
        follow(receipts, Stage(name, _sizes(waiting), board.look))
    for work in works:
        work.output.publish([unit.name for unit in work.units], key=work.key)


def _waiting(works: Sequence[Work], name: str) -> Waiting:
    total = sum(len(work.units) for work in works)
    waiting = [
        (unit, place)
        for place, work in enumerate(works)
        for done in [work.output.done_units()]
        for unit in work.units
        if unit.name not in done
    ]
    if len(waiting) < total:
        logger.info("%s: %d of %d units were done before", name, total - len(waiting), total)
    return waiting


def _targets(works: Sequence[Work]) -> list[Target]:
    return [(work.output, work.key) for work in works]


def _sizes(waiting: Waiting) -> dict[str, float]:
    return {key_of(unit, place): float(unit.size) for unit, place in waiting}


def follow(receipts: Iterator[tuple[str, Receipt]], stage: Stage) -> int:
    """Take receipts as they come, and show how far the stage is; returns the rows written."""
    rows = 0
    with stage:
        for key, receipt in receipts:
            rows += receipt.rows_out
            stage.done(key, receipt.rows_out)
    return rows


def _here(
    units: Sequence[tuple[Unit, int]], targets: Sequence[Target], worker: Worker | UnitWorker
) -> Iterator[tuple[str, Receipt]]:
    for unit, target in units:
        with progress.working_on(key_of(unit, target), unit.size):
            receipt = run_one(unit, worker, *targets[target])
        yield key_of(unit, target), receipt


def stream(
    units: Sequence[tuple[Unit, int]],
    targets: Sequence[Target],
    worker: type[Worker | UnitWorker],
    kwargs: dict[str, Any],
    resources: Resources,
    board: Board,
    calls: int = 1,
) -> Iterator[tuple[str, Receipt]]:
    """Receipts of units (each with the place of its target) as they are done, by the units' keys.
    Raises what a worker met."""
    rows = [{"unit": json.dumps(unit.to_dict()), "target": target} for unit, target in units]
    costly = getattr(worker, "costly", False)
    blocks = _blocks(resources, costly)
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), blocks))
    arguments = {"worker": worker, "kwargs": kwargs, "targets": tuple(targets), "board": board}
    tasks = resources.actors is None
    run: Callable[..., Any] = unit_task if tasks else UnitActor
    passed = {"fn_kwargs" if tasks else "fn_constructor_kwargs": arguments}
    receipts = dataset.map_batches(
        run, batch_format="pyarrow", batch_size=1, **passed, **as_pool(resources, calls)
    )
    yield from receipts_of(receipts, board, costly)


def receipts_of(
    receipts: ray.data.Dataset, board: Board, costly: bool = False
) -> Iterator[tuple[str, Receipt]]:
    """Receipts as the rows of a dataset come, by the units' keys. Raises what a worker met, and
    StaleDriver where another driver took a lease of this one: both would pay for the same answers.
    `costly` workers are all told to end before any error is raised.
    """
    _refuse_lost()
    try:
        with lease.told_of_loss(board.halt):
            yield from _received(_rows(receipts), board, costly)
    except (Exception, KeyboardInterrupt) as error:
        _let_go(error)
        raise
    finally:
        board.close()


def _let_go(error: BaseException | None) -> None:
    """Ray Data ends a pool when nothing refers to it, and the frames of a failure do: its actors
    would keep their CPUs as long as the error is kept, and what comes next would wait for them."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()


def _rows(receipts: ray.data.Dataset) -> Iterator[dict[str, Any]]:
    """As they come: reading ahead holds each back until the next is there."""
    for table in receipts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from map(json.loads, table["receipt"].to_pylist())


def _received(
    rows: Iterator[dict[str, Any]], board: Board, costly: bool
) -> Iterator[tuple[str, Receipt]]:
    """Receipts, until a worker was interrupted; then those of units that end soon."""
    problem: Exception | None = None
    ends = math.inf
    for row in rows:
        receipt = row["receipt"]
        if "error" not in receipt:
            yield row["key"], Receipt.from_dict(receipt)
        else:
            error = ERRORS[receipt["error"]](receipt["message"])
            if not (costly or isinstance(error, Interrupted)):
                raise error
            if problem is None:
                board.halt()
                ends = time.monotonic() + ENDING_SECONDS
            if problem is None or isinstance(problem, Halted):
                problem = error
        if time.monotonic() > ends:
            break
    if isinstance(problem, Halted):
        _refuse_lost()
    if problem is not None:
        raise problem


def _refuse_lost() -> None:
    if uri := lease.lost():
        raise StaleDriver(f"{uri}: another driver took over; this one stops")


def _blocks(resources: Resources, costly: bool) -> int:
    """How many tasks units are shared out to at most: some for every CPU, also of a cluster that
    has yet to grow."""
    if resources.actors is not None or costly:
        return MOST_BLOCKS
    cpus = int(ray.cluster_resources().get("CPU", 1))
    return min(MOST_BLOCKS, max(TASKS, TASKS_A_CPU * cpus))
