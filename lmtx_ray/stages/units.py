"""Runs a worker over units of work, each committed on its own, through Ray Data.

A unit is a name and the URIs of its input fragments. What flows through Ray Data is that
reference, not the rows: a unit's result must depend on its fragments alone, whichever actor runs
it and however often, so that a killed run resumes to the same bytes. The worker writes through
`StepOutput.commit_unit`; the driver only sees receipts.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import ray

from lmtx_ray import storage
from lmtx_ray.publish import StepOutput
from lmtx_ray.settings import Resources
from lmtx_ray.stages.resources import as_pool

logger = logging.getLogger(__name__)
REPORT_EVERY_SECONDS = 5.0


class Worker(Protocol):
    """Stateful map over fragments: built once per actor, called once per unit.

    `expands` says that rows out may differ from the rows of the first fragment.
    """

    expands: ClassVar[bool]

    def __call__(self, *fragments: pa.Table) -> pa.Table: ...


class UnitActor:
    """Ray Data callable of an actor pool: unit references in, receipts out."""

    def __init__(self, output: StepOutput, worker: type[Worker], kwargs: dict[str, Any]) -> None:
        self._output = output
        self._worker = worker(**kwargs)

    def __call__(self, references: pa.Table) -> pa.Table:
        return run_references(references, self._output, self._worker)


_kept: dict[str, Worker] = {}  # the worker that this process built last


def unit_task(
    references: pa.Table, output: StepOutput, worker: type[Worker], kwargs: dict[str, Any]
) -> pa.Table:
    """The same as a task: in a process that already runs, which keeps the worker for the next."""
    key = f"{worker.__module__}.{worker.__qualname__} {sorted(kwargs.items())!r}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = worker(**kwargs)
    return run_references(references, output, _kept[key])


def run_references(references: pa.Table, output: StepOutput, worker: Worker) -> pa.Table:
    """Run the referenced units one by one; a row with the receipt of each."""
    receipts = []
    for row in references.to_pylist():
        fragments = [storage.read_table(uri) for uri in row["inputs"]]
        result = worker(*fragments)
        rows_in = result.num_rows if worker.expands else fragments[0].num_rows
        receipts.append(output.commit_unit(row["unit"], result, rows_in=rows_in))
    return pa.table({"receipt": [json.dumps(receipt) for receipt in receipts]})


def run_units(
    output: StepOutput,
    units: Mapping[str, Sequence[str]],
    worker: type[Worker],
    kwargs: dict[str, Any],
    resources: Resources,
    key: str | None,
    name: str,
) -> None:
    """Run every unit not yet done, then publish; a published step returns at once.

    Args:
        output: Where the step's units and manifest go.
        units: Unit name to the URIs of its input fragments, the main one first.
        worker: A Worker class, importable on the actors; `kwargs` are its constructor arguments.
        resources: Pool size, or tasks, and what each asks for.
        key: Column whose values must be unique over the step, or None.
        name: What to call the step in progress lines.
    """
    if output.is_complete():
        logger.info("%s: complete", name)
        return
    done = output.done_units()
    waiting = {unit: inputs for unit, inputs in units.items() if unit not in done}
    if done:
        logger.info("%s: %d of %d units were done before", name, len(done), len(units))
    if waiting:
        _stream(output, waiting, worker, kwargs, resources, name)
    output.publish(list(units), key=key)


def _stream(
    output: StepOutput,
    units: Mapping[str, Sequence[str]],
    worker: type[Worker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
) -> None:
    references = [{"unit": unit, "inputs": list(inputs)} for unit, inputs in units.items()]
    dataset = ray.data.from_items(references, override_num_blocks=len(references))
    arguments = {"output": output, "worker": worker, "kwargs": kwargs}
    if resources.actors is None:
        run, passed = unit_task, {"fn_kwargs": arguments}
    else:
        run, passed = UnitActor, {"fn_constructor_kwargs": arguments}
    receipts = dataset.map_batches(
        run, batch_format="pyarrow", batch_size=1, **passed, **as_pool(resources)
    )
    started = reported = time.monotonic()
    rows = 0
    for done, receipt in enumerate(receipts.iter_rows(), start=1):
        rows += json.loads(receipt["receipt"])["rows_out"]
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_SECONDS or done == len(units):
            reported = now
            _report(name, done, len(units), rows, now - started)


def _report(name: str, done: int, total: int, rows: int, seconds: float) -> None:
    left = seconds / done * (total - done)
    logger.info(
        "%s: %d/%d units, %s rows, %.0f rows/s, about %.0f s left",
        name, done, total, f"{rows:,}", rows / max(seconds, 1e-9), left,
    )  # fmt: skip
