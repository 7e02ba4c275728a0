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
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.publish import StepOutput
from lmtx_ray.stages.resources import as_pool

logger = logging.getLogger(__name__)
REPORT_EVERY_SECONDS = 5.0


class Worker(Protocol):
    """Stateful map over fragments: built once per actor, called once per unit.

    `expands` says that rows out may differ from the rows of the first fragment.
    """

    expands: ClassVar[bool]

    def __call__(self, *fragments: pa.Table) -> pa.Table: ...


@dataclass(frozen=True)
class Work:
    """A step's units: name to the URIs of the input fragments, the main one first. `key` is the
    column whose values must be unique over the step, or None."""

    output: StepOutput
    units: Mapping[str, Sequence[str]]
    key: str | None = None


class UnitActor:
    """Ray Data callable of an actor pool: unit references in, receipts out."""

    def __init__(self, worker: type[Worker], kwargs: dict[str, Any]) -> None:
        self._worker = worker(**kwargs)

    def __call__(self, references: pa.Table) -> pa.Table:
        return run_references(references, self._worker)


_kept: dict[str, Worker] = {}  # the worker that this process built last


def unit_task(references: pa.Table, worker: type[Worker], kwargs: dict[str, Any]) -> pa.Table:
    """The same as a task: in a process that already runs, which keeps the worker for the next."""
    key = f"{worker.__module__}.{worker.__qualname__} {sorted(kwargs.items())!r}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = worker(**kwargs)
    return run_references(references, _kept[key])


def run_references(references: pa.Table, worker: Worker) -> pa.Table:
    """Run the referenced units one by one; a row with the receipt of each."""
    receipts = []
    for row in references.to_pylist():
        fragments = [storage.read_table(uri) for uri in row["inputs"]]
        result = worker(*fragments)
        output = StepOutput(row["output"], row["fingerprint"])
        rows_in = result.num_rows if worker.expands else fragments[0].num_rows
        receipts.append(output.commit_unit(row["unit"], result, rows_in=rows_in))
    return pa.table({"receipt": [json.dumps(receipt) for receipt in receipts]})


def run_units(
    works: Sequence[Work],
    worker: type[Worker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
) -> None:
    """Run every unit not yet done, of several steps through one pool; then publish each step.

    Args:
        works: The steps; a published one is left alone.
        worker: A Worker class, importable on the actors; `kwargs` are its constructor arguments.
        resources: Pool size, or tasks, and what each asks for.
        name: What to call the steps in progress lines.
    """
    works = [work for work in works if not work.output.is_complete()]
    if not works:
        logger.info("%s: complete", name)
        return
    references = [reference for work in works for reference in _waiting(work)]
    total = sum(len(work.units) for work in works)
    if len(references) < total:
        logger.info("%s: %d of %d units were done before", name, total - len(references), total)
    if references:
        _stream(references, worker, kwargs, resources, name)
    for work in works:
        work.output.publish(list(work.units), key=work.key)


def _waiting(work: Work) -> list[dict[str, Any]]:
    done = work.output.done_units()
    place = {"output": work.output.uri, "fingerprint": work.output.fingerprint}
    return [
        {"unit": unit, "inputs": list(inputs), **place}
        for unit, inputs in work.units.items()
        if unit not in done
    ]


def _stream(
    references: Sequence[dict[str, Any]],
    worker: type[Worker],
    kwargs: dict[str, Any],
    resources: Resources,
    name: str,
) -> None:
    dataset = ray.data.from_items(list(references), override_num_blocks=len(references))
    arguments = {"worker": worker, "kwargs": kwargs}
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
        if now - reported >= REPORT_EVERY_SECONDS or done == len(references):
            reported = now
            _report(name, done, len(references), rows, now - started)


def _report(name: str, done: int, total: int, rows: int, seconds: float) -> None:
    left = seconds / done * (total - done)
    logger.info(
        "%s: %d/%d units, %s rows, %.0f rows/s, about %.0f s left",
        name,
        done,
        total,
        f"{rows:,}",
        rows / max(seconds, 1e-9),
        left,
    )
