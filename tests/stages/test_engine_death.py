"""An engine whose own process dies is started again, and its unit is done again."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.teacher.protocol import EngineDied
from tests.published import read_published

pytestmark = pytest.mark.ray


class Dies:
    """Worker: its engine dies on the table whose id is `at`, once or whenever it is asked."""

    expands: ClassVar[bool] = False

    def __init__(self, folder: str, at: int, once: bool) -> None:
        self._folder, self._at, self._once = Path(folder), at, once
        (self._folder / f"start-{len(list(self._folder.iterdir()))}").touch()

    def __call__(self, fragment: pa.Table) -> pa.Table:
        died = self._folder / "died"
        if fragment["id"][0].as_py() == self._at and not (self._once and died.exists()):
            died.touch()
            raise EngineDied("no more")
        return fragment


class Refuses(Dies):
    """Worker: meets what a user can mend, which comes back as a row."""

    def __call__(self, fragment: pa.Table) -> pa.Table:
        raise storage.StorageError("the store said no")


def cpus() -> float:
    return ray.available_resources().get("CPU", 0.0)


def within_a_minute(holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 60
    while not holds() and time.monotonic() < ends:
        time.sleep(0.2)
    return holds()


def work_on(folder: Path, units: int) -> tuple[Work, str]:
    for number in range(units):
        storage.write_table(str(folder / f"in{number}.parquet"), pa.table({"id": [number]}))
    (folder / "told").mkdir()
    files = [Unit.of(f"u{n}", str(folder / f"in{n}.parquet")) for n in range(units)]
    return Work(Dataset(str(folder / "out"), "f"), files), str(folder / "told")


def test_a_dead_engine_costs_a_start_and_no_row(ray_cluster: None, tmp_path: Path) -> None:
    work, told = work_on(tmp_path, 4)
    run_units([work], Dies, {"folder": told, "at": 2, "once": True}, Resources(), "judge")
    assert read_published(work.output.uri)["id"].to_pylist() == [0, 1, 2, 3]
    assert sorted(path.name for path in Path(told).iterdir()) == ["died", "start-0", "start-2"]


def test_one_that_dies_before_it_worked_ends_the_job(ray_cluster: None, tmp_path: Path) -> None:
    work, told = work_on(tmp_path, 1)
    with pytest.raises(Exception, match="no more"):
        run_units([work], Dies, {"folder": told, "at": 0, "once": False}, Resources(), "judge")
    assert not work.output.is_complete()


@pytest.mark.parametrize("message", ["no more", "the store said no"])
def test_a_broken_off_step_gives_its_workers_back(
    ray_cluster: None, tmp_path: Path, message: str
) -> None:
    work, told = work_on(tmp_path, 4)
    kwargs = {"folder": told, "at": 0, "once": False}
    free = cpus()
    gc.disable()  # whether the collector comes by in time is chance
    try:
        with pytest.raises(Exception, match=message) as kept:  # as a caller may keep it
            run_units([work], Dies if message == "no more" else Refuses, kwargs, Resources(), "x")
        assert within_a_minute(lambda: cpus() >= free), kept
    finally:
        gc.enable()
