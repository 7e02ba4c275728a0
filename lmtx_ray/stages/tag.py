"""Batch tagging stage: Taggers in an actor pool, one unit of work at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ray

from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.unit import UnitWork, run_unit
from lmtx_ray.config.resources import Resources
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.board import Board
from lmtx_ray.stages.units import stream


class TagUnits:
    """Worker: a unit of documents in, its tags committed."""

    def __init__(self, job: TagJob) -> None:
        from lmtx_ray.bundle.tagger import Tagger  # takes seconds, and the driver needs none

        self._job = job
        self._tagger = Tagger.load(job.bundle)

    def run_unit(self, unit: Unit, output: Dataset) -> Receipt:
        """The receipt that counts, be it of this attempt or of an earlier one."""
        return run_unit(unit, UnitWork(self._job, output), self._tagger, self._tagger.labels)


def size_of(actors: int | None, units: int) -> int:
    """`actors`, or as many as the cluster has GPUs, else CPUs, but not more than units."""
    there = ray.cluster_resources()
    return actors or max(min(int(there.get("GPU", 0)) or int(there.get("CPU", 1)), units), 1)


def pool_of(actors: int | None, units: int) -> Resources:
    """A pool of `size_of` Taggers, each with a GPU where there are any."""
    gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    return Resources(actors=size_of(actors, units), cpus=1, gpus=gpus)


def tag_units(
    units: Sequence[Unit], work: UnitWork, pool: Resources, board: Board
) -> Iterator[tuple[str, Receipt]]:
    """Receipts of the units as they are done, by their keys. Raises what a worker met."""
    references = [(unit, 0) for unit in units]
    return stream(references, [(work.output, None)], TagUnits, {"job": work.job}, pool, board)
