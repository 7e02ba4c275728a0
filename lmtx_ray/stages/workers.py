"""What works on units in a process of Ray: a worker, its units one by one, and their receipts.

An error that a user can mend comes back as a row, so that the driver can raise it as it was; any
other ends the job at once.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import halting, progress, storage
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError, Receipt
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.board import Board, post_now, post_to
from lmtx_ray.teacher.health import JudgeUseless
from lmtx_ray.teacher.protocol import (
    BudgetReached,
    EngineDied,
    Halted,
    Interrupted,
    JudgeRefused,
    JudgeUnavailable,
)

logger = logging.getLogger(__name__)
INTERRUPTED = (JudgeRefused, JudgeUnavailable, JudgeUseless, BudgetReached, Halted, Interrupted)
MENDABLE = (StaleDriver, PublishError, storage.StorageError, CorpusError)
ERRORS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (*INTERRUPTED, *MENDABLE)}


class Worker(Protocol):
    """Stateful map over the tables of a unit's files: built once per actor, called once per unit.

    `expands` says that rows out may differ from the rows of the first table. One that is `costly`
    (not said: it is not) gets a unit a task, as a task that broke off is done again as a whole, and
    time to keep what it paid for where another ends by whatever error.
    """

    @property
    def expands(self) -> bool:
        """See above."""

    def __call__(self, *fragments: pa.Table) -> pa.Table:
        """The output table of a unit, from one table for each of the unit's files."""


class UnitWorker(Protocol):
    """A worker that reads and commits its units on its own."""

    def run_unit(self, unit: Unit, output: Dataset) -> Receipt:
        """Commit a unit to `output`; returns the receipt that counts."""


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
        try:
            with halting.heeding(post_to(self._board)):
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
    with halting.heeding(post_to(board)):
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
            if halting.current().is_set():
                raise Halted("not begun")
            with progress.working_on(key_of(unit, row["target"]), unit.size):
                receipt = run_one(unit, worker, *target).without_keys().to_dict()
        except tuple(ERRORS.values()) as error:
            receipt = told(error)
        receipts.append(json.dumps({"key": key_of(unit, row["target"]), "receipt": receipt}))
    return pa.table({"receipt": receipts})


def told(error: Exception) -> dict[str, Any]:
    """One of ERRORS in the place of a receipt."""
    kind = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
    return {"error": kind, "message": str(error)}


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
