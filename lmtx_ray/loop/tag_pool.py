"""Who tags the units of a batch job: this process, a pool of taggers, or a chain of stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmtx_ray.batch.unit import UnitWork, run_unit
from lmtx_ray.config.search import SearchWay
from lmtx_ray.io import progress
from lmtx_ray.io.stage import Stage
from lmtx_ray.io.units import Unit
from lmtx_ray.loop.search_way import shards_to_chain


@dataclass(frozen=True)
class Pool:
    """How a job runs on Ray; nothing of what it publishes depends on it."""

    actors: int | None = None
    search: SearchWay = "auto"

    @property
    def may_be_left(self) -> bool:
        """Whether little work may be done without it, as nobody asked for workers."""
        return self.actors is None and self.search != "chain"


def tag_here(units: Sequence[Unit], work: UnitWork) -> int:
    """Tag units in this process; returns the rows tagged."""
    from lmtx_ray.bundle.tagger import Tagger

    rows = 0
    with Stage("tag", {unit.name: float(unit.size) for unit in units}, what="documents") as stage:
        tagger = Tagger.load(work.job.bundle)
        for unit in units:
            with progress.working_on(unit.name, unit.size):
                receipt = run_unit(unit, work, tagger, tagger.labels)
            rows += receipt.rows_out
            stage.done(unit.name, receipt.rows_out)
    return rows


def tag_on_ray(units: Sequence[Unit], work: UnitWork, pool: Pool) -> int:
    """The same on Ray, which runs. Raises what a worker met."""
    from lmtx_ray.stages.board import board_for
    from lmtx_ray.stages.tag import pool_of, tag_units
    from lmtx_ray.stages.units import follow
    from lmtx_ray.stages.workers import key_of

    board = board_for(f"tag {work.output.fingerprint}")
    if shards := shards_to_chain(pool.search, work.job.bundle, units):
        from lmtx_ray.stages.tag_chain import tag_by_chain

        receipts = tag_by_chain(units, work, shards, pool.actors, board)
    else:
        receipts = tag_units(units, work, pool_of(pool.actors, len(units)), board)
    sizes = {key_of(unit, 0): float(unit.size) for unit in units}
    return follow(receipts, Stage("tag", sizes, board.look, "documents"))
