"""Runs a worker over units of work, each committed on its own, through Ray Data.

What flows through Ray Data is a unit's description and its receipt, not the rows: a unit's result
must depend on its input alone, whichever actor runs it and however often, so that a killed run
resumes to the same bytes. An error that a user can mend comes back as a row, so that the driver can
raise it as it was; any other ends the job.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import progress, storage
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError, Receipt
from lmtx_ray.io.stage import Stage
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.board import Board, board_for, post_now, post_to
from lmtx_ray.stages.resources import as_pool
from lmtx_ray.teacher.protocol import EngineDied

logger = logging.getLogger(__name__)
MOST_BLOCKS = 1000
TASKS, TASKS_A_CPU = 128, 16  # a task costs some 30 ms beside its units; more keep no CPU busier
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (StaleDriver, PublishError, storage.StorageError, CorpusError)
}


class Worker(Protocol):
    """Stateful map over the tables of a unit's files: built once per actor, called once per unit.

    `expands` says that rows out may differ from the rows of the first table. One that is `costly`
    (not said: it is not) gets a unit a task, as a task that broke off is done again as a whole.
    """

    expands: ClassVar[bool]

    def __call__(self, *fragments: pa.Table) -> pa.Table:
        """The output table of a unit, from one table for each of the unit's files."""


class UnitWorker(Protocol):
    """A worker that reads and commits its units on its own."""

    def run_unit(self, unit: Unit, output: Dataset) -> Receipt:
        """Commit a unit to `output`; returns the receipt that counts."""


@dataclass(frozen=True)
class Work:
    """A step's units. `key` is the column whose values must be unique over the step, or None."""

    output: Dataset
    units: Sequence[Unit]
    key: str | None = None


Target = tuple[Dataset, str | None]  # a step, and its key


class UnitActor:
    """Ray Data callable of an actor pool: unit references in, receipts out."""

    def __init__(
        self,
        worker: type[Worker | UnitWorker],
        kwargs: dict[str, Any],
        targets: Sequence[Target],
        board: Board,
    ) -> None:
        self._worker, self._targets, self._board = worker(**kwargs), targets, board
        self._has_worked = False

    def __call__(self, references: pa.Table) -> pa.Table:
        """Receipts of the referenced units. A worker whose engine died after it had worked makes an
        end of its process: Ray starts another actor and gives it the unit again. One that never
        worked would die again, so its error ends the job."""
        post_to(self._board)
        try:
            receipts = run_references(references, self._worker, self._targets)
        except EngineDied as error:
            if not self._has_worked:
                raise
            logger.error("the engine died, and is started again with its unit: %s", error)
            os._exit(1)  # an error would end the job, and any other exit counts as wanted
        self._has_worked = True
        return _posted(receipts)


_kept: dict[str, Worker | UnitWorker] = {}  # the worker that this process built last


def unit_task(
    references: pa.Table,
    worker: type[Worker | UnitWorker],
    kwargs: dict[str, Any],
    targets: Sequence[Target],
    board: Board,
) -> pa.Table:
    """The same as a task: in a process that already runs, which keeps the worker for the next."""
    key = f"{worker.__module__}.{worker.__qualname__} {sorted(kwargs.items())!r}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = worker(**kwargs)
    post_to(board)
    return _posted(run_references(references, _kept[key], targets))


def _posted(receipts: pa.Table) -> pa.Table:
    post_now()
    return receipts


def run_references(
    references: pa.Table, worker: Worker | UnitWorker, targets: Sequence[Target]
) -> pa.Table:
    """Run the referenced units one by one; a row with the receipt of each, or with an error."""
    receipts = []
    for row in references.to_pylist():
        unit, target = Unit.from_dict(json.loads(row["unit"])), targets[row["target"]]
        try:
            with progress.working_on(key_of(unit, row["target"]), unit.size):
                receipt = run_one(unit, worker, *target).without_keys().to_dict()
        except tuple(ERRORS.values()) as error:
            kind = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
            receipt = {"error": kind, "message": str(error)}
        receipts.append(json.dumps({"key": key_of(unit, row["target"]), "receipt": receipt}))
    return pa.table({"receipt": receipts})


def key_of(unit: Unit, target: int) -> str:
    """What a unit is called in progress: steps that share a corpus have units of one name."""
    return f"{target}/{unit.name}"


def run_one(unit: Unit, worker: Worker | UnitWorker, output: Dataset, key: str | None) -> Receipt:
    """Run a unit here and commit it."""
    if hasattr(worker, "run_unit"):
        return worker.run_unit(unit, output)
    fragments = [storage.read_table(uri) for uri in unit.uris]
    progress.ahead(fragments[0].num_rows)
    result = worker(*fragments)
    rows_in = result.num_rows if worker.expands else fragments[0].num_rows
    return output.commit_table(unit.name, result, rows_in=rows_in, key=key)


def run_units(
    works: Sequence[Work],
    worker: type[Worker | UnitWorker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
    local: bool = False,
    calls: int = 1,
) -> None:
    """Run every unit not yet done, of several steps through one pool; then publish each step.

    Args:
        works: The steps; a published one is left alone.
        worker: Its class, importable on the actors; `kwargs` are its constructor arguments.
        resources: Pool size, or tasks, and what each asks for.
        name: What to call the steps in progress lines.
        local: In this process: what is little is done before a pool has started.
        calls: Units that an actor works on at once, in threads.
    """
    works = [work for work in works if not work.output.is_complete()]
    if not works:
        logger.info("%s: complete", name)
        return
    do_units(works, worker, kwargs, resources, name, local, calls)
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
) -> None:
    """Run every unit not yet done, and publish nothing."""
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
    if waiting:
        targets = [(work.output, work.key) for work in works]
        sizes = {key_of(unit, place): float(unit.size) for unit, place in waiting}
        if local:
            receipts, look = _here(waiting, targets, worker(**kwargs)), progress.snapshot
        else:
            board = board_for(f"{name} {uuid.uuid4().hex[:8]}")
            receipts = stream(waiting, targets, worker, kwargs, resources, board, calls)
            look = board.look
        follow(receipts, Stage(name, sizes, look, getattr(worker, "counts", "rows")))


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
    blocks = _blocks(resources, getattr(worker, "costly", False))
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), blocks))
    arguments = {"worker": worker, "kwargs": kwargs, "targets": tuple(targets), "board": board}
    tasks = resources.actors is None
    run: Callable[..., Any] = unit_task if tasks else UnitActor
    passed = {"fn_kwargs" if tasks else "fn_constructor_kwargs": arguments}
    receipts = dataset.map_batches(
        run, batch_format="pyarrow", batch_size=1, **passed, **as_pool(resources, calls)
    )
    try:
        for row in receipts.iter_rows():
            done = json.loads(row["receipt"])
            receipt = done["receipt"]
            if "error" in receipt:
                raise ERRORS[receipt["error"]](receipt["message"])
            yield done["key"], Receipt.from_dict(receipt)
    finally:
        board.close()


def _blocks(resources: Resources, costly: bool) -> int:
    """How many tasks units are shared out to at most: some for every CPU, also of a cluster that
    has yet to grow."""
    if resources.actors is not None or costly:
        return MOST_BLOCKS
    cpus = int(ray.cluster_resources().get("CPU", 1))
    return min(MOST_BLOCKS, max(TASKS, TASKS_A_CPU * cpus))
