"""`lmtx` as a process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.started import start

PATIENCE_SECONDS = 120


def lmtx(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Its log goes under `folder`/logs."""
    settings = {"LMTX_LOG_DIR": str(folder / "logs"), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "lmtx_ray.cli", *arguments]
    return start(command, env={**os.environ, **settings})


def until(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a running process does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.05)


def of_session(session: int) -> list[str]:
    """Command lines of the processes that a process and its children have left."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            own = os.getsid(int(path.name))
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
        if own == session and line:
            found.append(line)
    return found
