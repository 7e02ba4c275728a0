"""Starts, kills and looks into runs as a user's terminal does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import started

TIMEOUT_SECONDS = 300
BEFORE_JUDGING = ("documents-", "labels-", "label-rejects-", "rejects-", "lexical-", "test-")


def start(inputs: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lmtx_ray.cli", "run", str(inputs / "config.yaml")]
    return started.start([*command, "--set", f"run={run}", *more])


def finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """kill -9 of the driver as soon as `reached`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def hashes(run: Path, name: str) -> dict[str, str]:
    """step folder and unit -> SHA-256 of what was published."""
    found = {}
    for path in run.glob(f"{name}-*/MANIFEST.json"):
        manifest = json.loads(path.read_text())
        units = {name: file["sha256"] for name, file in manifest.get("files", {}).items()}
        units |= {u["unit"]: u["sha256"] for u in manifest.get("units", ())}
        found |= {f"{path.parent.name}/{unit}": value for unit, value in units.items()}
    return found


def up_to_judging(whole: Path, run: Path) -> None:
    """Copy of a run only what was there before its judge was asked."""
    for step in whole.iterdir():
        first = step.name.startswith(BEFORE_JUDGING) and "verdicts" not in step.name
        if "-0-" in step.name or (first and "-1-" not in step.name):
            shutil.copytree(step, run / step.name)


def judged(run: Path) -> list[Path]:
    """Folders of the steps that ask."""
    names = ("verdicts", "test-verdicts", "selection", "learned-selection", "chance-verdicts")
    return [path for name in names for path in run.glob(f"{name}-*")]
