"""Workers' progress within a unit is seen by the driver."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import progress, storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.stage import Stage, State
from lmtx_ray.io.units import Unit
from lmtx_ray.stages import board
from lmtx_ray.stages.board import Board
from lmtx_ray.stages.units import Work, run_units

pytestmark = pytest.mark.ray


class Waits:
    """Worker: does half of its rows, and the rest when somebody has seen that."""

    expands: ClassVar[bool] = False
    counts: ClassVar[str] = "texts"

    def __init__(self, seen: str) -> None:
        self._seen = seen

    def __call__(self, fragment: pa.Table) -> pa.Table:
        progress.advance(fragment.num_rows // 2)
        progress.count(pairs=3)
        give_up = time.monotonic() + 100
        while not storage.exists(self._seen) and time.monotonic() < give_up:
            time.sleep(0.05)
        return fragment


class Sees:
    """A display that lets the worker go on when it has seen the half."""

    def __init__(self, seen: str) -> None:
        self._seen = seen
        self.state: State | None = None
        self.end_state: State | None = None

    def show(self, state: State) -> None:
        if state.rows == 5 and not state.done and state.amounts.get("pairs"):
            self.state = state
            storage.write_bytes(self._seen, b"")

    def end(self, state: State) -> None:
        self.end_state = state


@pytest.mark.parametrize("actors", [None, 1])
def test_the_driver_sees_into_a_unit(
    ray_cluster, tmp_path: Path, monkeypatch, actors: int | None
) -> None:
    seen = str(tmp_path / "seen")
    display = Sees(seen)
    monkeypatch.setattr(Stage, "display", display)
    storage.write_table(str(tmp_path / "in.parquet"), pa.table({"id": list(range(10))}))
    work = Work(Dataset(str(tmp_path / "out"), "f"), [Unit.of("u", str(tmp_path / "in.parquet"))])
    run_units([work], Waits, {"seen": seen}, Resources(actors=actors), "wait")
    assert display.state is not None
    assert (display.state.what, display.state.share) == ("texts", pytest.approx(0.5))
    assert display.end_state is not None
    assert (display.end_state.rows, display.end_state.share) == (10, 1.0)


def test_units_that_begin_a_stage_together_hear_of_its_end_alike(monkeypatch) -> None:
    made, again = [], threading.Event()

    class Poster:
        def __init__(self, board: Board) -> None:
            made.append(board.stage)
            if len(made) > 1:
                again.set()
            again.wait(0.3)  # as Ray is asked where this process runs
            self.ended, self.halted = threading.Event(), threading.Event()

    monkeypatch.setattr(board, "_Poster", Poster)
    monkeypatch.setattr(board, "_posters", {})
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(board.post_to, [Board(None, "judge")] * 2)
    assert made == ["judge"]
    assert first is second
    assert board.post_to(Board(None, "next")) is not first
    assert [*board._posters] == ["next"]
