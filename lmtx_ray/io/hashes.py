"""SHA-256 of local files, each read once a machine: weights are large, and every process asks."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from lmtx_ray.io import disk, remembered

KIND = "hashes"
HEX = re.compile("[0-9a-f]{64}")
TICK_SECONDS = 0.02  # a file changed twice within the clock's tick may keep its time of change


def file_sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file, remembered by path, size and times of change.

    Raises:
        StorageError: It cannot be read.
    """
    with disk.named(path):
        mark = _mark(path)
        if known := _remembered(mark):
            return known
        if abs(time.time() - path.stat().st_mtime) < TICK_SECONDS:
            time.sleep(TICK_SECONDS)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    remembered.keep(KIND, mark, found)
    return found


def remember(path: Path, sha256: str) -> None:
    """Save others the reading of a file whose content is known."""
    remembered.keep(KIND, _mark(path), sha256)


def _mark(path: Path) -> str:
    """What a file's hash is kept under as long as nobody touches it. What sets the time of a change
    of content back is seen by the time of that: nobody sets st_ctime."""
    stat = path.stat()
    times = f"{stat.st_mtime_ns} {stat.st_ctime_ns}"
    seen = f"{path.resolve()} {stat.st_ino} {stat.st_size} {times}"
    return hashlib.sha256(seen.encode()).hexdigest()


def _remembered(mark: str) -> str:
    known = remembered.recall(KIND, mark)
    return known if isinstance(known, str) and HEX.fullmatch(known) else ""
