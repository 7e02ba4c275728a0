"""A run as a program starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.io.lease import Held, me, write_lease
from lmtx_ray.loop.running import run
from tests.small_run import write_inputs


def test_a_run_that_another_process_is_at_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    config, folder = write_inputs(tmp_path / "inputs"), tmp_path / "run"
    write_lease(f"{folder}/LEASE.json", me(), 60.0)
    with pytest.raises(Held, match="is at work here"):
        run(str(config), [f"run={folder}"])
    assert {path.name for path in folder.iterdir()} == {"LEASE.json", "started"}
