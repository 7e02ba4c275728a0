"""`ray job submit` against a real cluster with token authentication, by the script users run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_run import write_inputs

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_SECONDS = 900
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(TIMEOUT_SECONDS + 60)]


def prove(folder: Path, *more: str) -> dict:
    config = write_inputs(folder)
    command = [
        sys.executable,
        str(ROOT / "cluster" / "local_cluster.py"),
        "--config",
        str(config),
        "--runs",
        str(folder / "runs"),
        *more,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_job_stopped_while_judging_and_submitted_again_publishes_the_same(
    tmp_path: Path,
) -> None:
    seen = prove(tmp_path, "--until", "judge")
    assert seen["refused"] == [401, 403]
    assert (seen["failed"], seen["stopped"]) == ("FAILED", "STOPPED")
    assert (seen["second"], seen["third"]) == ("SUCCEEDED", "SUCCEEDED")
    assert seen["steps_compared"] >= 8


def test_a_whole_loop_stopped_while_training_and_submitted_again_publishes_the_same(
    tmp_path: Path,
) -> None:
    seen = prove(tmp_path, "--stop-when", "work/*/checkpoint-*/MANIFEST.json")
    assert (seen["stopped"], seen["second"], seen["third"]) == ("STOPPED", *["SUCCEEDED"] * 2)
    assert seen["steps_compared"] >= 16
