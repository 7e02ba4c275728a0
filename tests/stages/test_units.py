"""How units are shared out to tasks, and how all end where one is interrupted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import halting, lease, storage
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.lease import me, write_lease
from lmtx_ray.io.locations import StorageError
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.units import Unit
from lmtx_ray.stages import units
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.teacher.health import JudgeUseless
from lmtx_ray.teacher.protocol import BudgetReached, Halted

pytestmark = pytest.mark.ray
UNITS = 12
# Ray may keep a core for a dataset that ended, for three minutes after it asked last
PATIENCE = 200.0
ENDS = {"BudgetReached": BudgetReached, "JudgeUseless": JudgeUseless, "StorageError": StorageError}


class Cheap:
    """Worker: says which task it worked in."""

    expands: ClassVar[bool] = False

    def __call__(self, fragment: pa.Table) -> pa.Table:
        task = ray.get_runtime_context().get_task_id()
        return pa.table({"id": fragment["id"], "task": [task] * fragment.num_rows})


class Costly(Cheap):
    costly: ClassVar[bool] = True


def units_of(folder: Path, count: int) -> list[Unit]:
    made = []
    for number in range(count):
        file = str(folder / f"{number}.parquet")
        storage.write_table(file, pa.table({"id": [number]}))
        made.append(Unit.of(f"{number:02d}", file))
    return made


@pytest.mark.parametrize(("worker", "tasks"), [(Cheap, 3), (Costly, UNITS)])
def test_a_task_does_several_units_unless_they_are_costly(
    ray_cluster, tmp_path: Path, monkeypatch, worker: type, tasks: int
) -> None:
    monkeypatch.setattr(units, "TASKS", 3)
    monkeypatch.setattr(units, "TASKS_A_CPU", 1)
    waiting = units_of(tmp_path, UNITS)
    output = Dataset(str(tmp_path / "out"), "f")
    run_units([Work(output, waiting, "id")], worker, {}, Resources(actors=None), "share")
    made = pa.concat_tables(output.tables(["id", "task"]))
    assert made["id"].to_pylist() == list(range(UNITS))
    assert len(set(made["task"].to_pylist())) == tasks


class Pays:
    """Worker: unit 0 meets an end once unit 1 is at work; unit 1 keeps what it has when it is told
    to end."""

    expands: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def __init__(self, folder: str, end: str = "BudgetReached") -> None:
        self._folder, self._end = Path(folder), ENDS[end]

    def __call__(self, fragment: pa.Table) -> pa.Table:
        if fragment["id"][0].as_py() == 0:
            assert seen(self._folder / "at work")
            raise self._end("used up")
        (self._folder / "at work").touch()
        assert halting.current().wait(PATIENCE)
        (self._folder / "kept").touch()
        raise Halted("told")


def seen(path: Path) -> bool:
    give_up = time.monotonic() + PATIENCE
    while not path.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    return path.exists()


@pytest.mark.parametrize(
    ("actors", "calls", "end"),
    [
        (None, 1, "BudgetReached"),
        (1, 2, "BudgetReached"),
        (1, 2, "JudgeUseless"),
        (1, 2, "StorageError"),
    ],
)
def test_when_one_is_interrupted_the_others_keep_what_they_paid_for(
    ray_cluster, tmp_path: Path, actors: int | None, calls: int, end: str
) -> None:
    waiting = units_of(tmp_path, 2)
    work = Work(Dataset(str(tmp_path / "out"), "f"), waiting, "id")
    pool = Resources(actors=actors)
    kwargs = {"folder": str(tmp_path), "end": end}
    with pytest.raises(ENDS[end], match=r"^used up$"):
        run_units([work], Pays, kwargs, pool, f"pay {actors} {end}", calls=calls)
    assert (tmp_path / "kept").exists()
    assert not work.output.is_complete()


class Paid:
    """Worker: another driver takes the lease while it is at work; it keeps what it has."""

    expands: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def __init__(self, lease: str) -> None:
        self._lease = lease

    def __call__(self, fragment: pa.Table) -> pa.Table:
        told, other = halting.current(), me()
        for _ in range(200):  # a renewal that had looked already may write over it once
            write_lease(self._lease, other, 60.0)
            if told.wait(0.1):
                break
        assert told.is_set()
        Path(self._lease).with_name("kept").touch()
        raise Halted("told")


def test_a_driver_whose_lease_another_took_pays_for_no_more(
    ray_cluster, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    waiting = units_of(tmp_path, 3)
    pays = Work(Dataset(str(tmp_path / "pays"), "f"), waiting, "id")
    works = Work(Dataset(str(tmp_path / "works"), "f"), waiting, "id")
    uri = str(tmp_path / "LEASE.json")
    with lease.held(uri):
        with pytest.raises(StaleDriver, match="another driver took over"):
            run_units([pays], Paid, {"lease": uri}, Resources(actors=1), "paying")
        assert (tmp_path / "kept").exists()
        with pytest.raises(StaleDriver):  # nor does it begin anything else
            run_units([works], Cheap, {}, Resources(actors=None), "after it")
    assert not works.output.done_units()
    run_units([works], Cheap, {}, Resources(actors=None), "of another run of this process")
    assert works.output.is_complete()


def test_the_next_step_of_a_process_that_was_told_to_end_runs(ray_cluster, tmp_path: Path) -> None:
    waiting = units_of(tmp_path, 2)
    pays = Work(Dataset(str(tmp_path / "pays"), "f"), waiting, "id")
    with pytest.raises(BudgetReached):
        run_units([pays], Pays, {"folder": str(tmp_path)}, Resources(actors=None), "paying")
    works = Work(Dataset(str(tmp_path / "works"), "f"), waiting, "id")
    run_units([works], Cheap, {}, Resources(actors=None), "after it")
    assert works.output.is_complete()
