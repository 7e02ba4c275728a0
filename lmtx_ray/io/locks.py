"""Locks between the processes of one machine, on files. The system lets go of a lock when its
process ends, however it ends, so a dead one never blocks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lmtx_ray.io import disk


class SharedLock:
    """Held from creation on for as long as the object is there; any number may share a file."""

    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lock stays in the process that holds it")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a file's lock alone for a block; with `wait` false maybe not: yields whether it does."""
    file = _open(path)
    try:
        yield _take(file, wait)
    finally:
        os.close(file)


def _take(file: int, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    with disk.named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
