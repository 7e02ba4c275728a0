"""How many tasks units are shared out to."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.units import Unit
from lmtx_ray.stages import units
from lmtx_ray.stages.units import Work, run_units

pytestmark = pytest.mark.ray
UNITS = 12


class Cheap:
    """Worker: says which task it worked in."""

    expands: ClassVar[bool] = False

    def __call__(self, fragment: pa.Table) -> pa.Table:
        task = ray.get_runtime_context().get_task_id()
        return pa.table({"id": fragment["id"], "task": [task] * fragment.num_rows})


class Costly(Cheap):
    costly: ClassVar[bool] = True


@pytest.mark.parametrize(("worker", "tasks"), [(Cheap, 3), (Costly, UNITS)])
def test_a_task_does_several_units_unless_they_are_costly(
    ray_cluster, tmp_path: Path, monkeypatch, worker: type, tasks: int
) -> None:
    monkeypatch.setattr(units, "TASKS", 3)
    monkeypatch.setattr(units, "TASKS_A_CPU", 1)
    waiting = []
    for number in range(UNITS):
        file = str(tmp_path / f"{number}.parquet")
        storage.write_table(file, pa.table({"id": [number]}))
        waiting.append(Unit.of(f"{number:02d}", file))
    output = Dataset(str(tmp_path / "out"), "f")
    run_units([Work(output, waiting, "id")], worker, {}, Resources(actors=None), "share")
    made = pa.concat_tables(output.tables(["id", "task"]))
    assert made["id"].to_pylist() == list(range(UNITS))
    assert len(set(made["task"].to_pylist())) == tasks
