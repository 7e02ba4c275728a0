"""Batch tagging stage: Taggers in an actor pool, one unit of work at a time.

What flows is a unit's description and its receipt, never rows. An error that a user can mend comes
back as a row, so that the driver can raise it as it was; any other ends the job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
import ray

from lmtx_ray.batch.plan import Unit
from lmtx_ray.batch.unit import UnitWork, run_unit
from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.publish import PublishError
from lmtx_ray.stages.resources import as_pool

ERRORS = {
    "StaleDriver": StaleDriver,
    "PublishError": PublishError,
    "StorageError": storage.StorageError,
}
MOST_BLOCKS = 1000


class TagUnits:
    """Ray Data callable: units in, receipts (or an error) out."""

    def __init__(self, work: UnitWork) -> None:
        from lmtx_ray.bundle.tagger import (
            Tagger,  # takes seconds to import, and the driver needs none
        )

        self._work = work
        self._tagger = Tagger.load(work.job.bundle)

    def __call__(self, units: pa.Table) -> pa.Table:
        receipts = []
        for text in units["unit"].to_pylist():
            unit = Unit.from_dict(json.loads(text))
            try:
                receipt = run_unit(unit, self._work, self._tagger, self._tagger.labels)
            except (PublishError, storage.StorageError) as error:
                receipt = {"error": type(error).__name__, "message": str(error)}
            receipts.append(json.dumps(receipt))
        return pa.table({"receipt": receipts})


def pool_of(actors: int | None, units: int) -> Resources:
    """`actors` Taggers, or as many as the cluster has GPUs, else CPUs, but not more than units."""
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    size = actors or min(gpus or int(there.get("CPU", 1)), units)
    return Resources(actors=max(size, 1), cpus=1, gpus=1 if gpus else 0)


def tag_units(units: Sequence[Unit], work: UnitWork, pool: Resources) -> Iterator[dict]:
    """Receipts of the units as they are done. Raises what a worker met."""
    rows = [{"unit": json.dumps(unit.to_dict())} for unit in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    receipts = dataset.map_batches(
        TagUnits,
        batch_format="pyarrow",
        batch_size=1,
        fn_constructor_kwargs={"work": work},
        **as_pool(pool),
    )
    for row in receipts.iter_rows():
        receipt = json.loads(row["receipt"])
        if "error" in receipt:
            raise ERRORS.get(receipt["error"], PublishError)(receipt["message"])
        yield receipt
