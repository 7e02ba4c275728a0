"""Commands that a test starts, each in a session of its own; none outlives its test."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_started: list[subprocess.Popen[str]] = []


def start(command: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    """A process that can be read from, unless `how` says otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, start_new_session=True, **{**pipes, **how})
    _started.append(process)
    return process


def end_all() -> None:
    """End what a failed test has left, and all that it started."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
