"""An engine whose own process dies is started again, and its unit is done again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import read_published
from lmtx_ray.io.units import Unit
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.teacher.protocol import EngineDied

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
