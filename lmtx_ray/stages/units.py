"""Runs a worker over units of work, each committed on its own, through a Ray Data actor pool.

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
from lmtx_ray.stages.resources import as_actors

logger = logging.getLogger(__name__)
REPORT_EVERY_SECONDS = 5.0


class Worker(Protocol):
    """Stateful map over fragments: built once per actor, called once per unit.

    `expands` says that rows out may differ from the rows of the first fragment.
    """

    expands: ClassVar[bool]

    def __call__(self, *fragments: pa.Table) -> pa.Table: ...


class UnitActor:
    """Ray Data callable: unit references in, receipts out."""

    def __init__(self, output: StepOutput, worker: type[Worker], kwargs: dict[str, Any]) -> None:
        self._output = output
        self._worker = worker(**kwargs)

    def __call__(self, references: pa.Table) -> pa.Table:
        receipts = [self._run(row["unit"], row["inputs"]) for row in references.to_pylist()]
        return pa.table({"receipt": [json.dumps(receipt) for receipt in receipts]})

    def _run(self, unit: str, inputs: Sequence[str]) -> dict[str, Any]:
        fragments = [storage.read_table(uri) for uri in inputs]
        result = self._worker(*fragments)
        rows_in = result.num_rows if self._worker.expands else fragments[0].num_rows
        return self._output.commit_unit(unit, result, rows_in=rows_in)


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
        resources: Pool size and what each actor asks for.
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
    receipts = ray.data.from_items(references, override_num_blocks=len(references)).map_batches(
        UnitActor,
        fn_constructor_kwargs={"output": output, "worker": worker, "kwargs": kwargs},
        batch_format="pyarrow",
        batch_size=1,
        **as_actors(resources),
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
