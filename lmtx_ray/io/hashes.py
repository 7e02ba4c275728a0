"""SHA-256 of local files, each read once a machine: weights are large, and every process asks."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from lmtx_ray.io import disk

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
    _remember(mark, found)
    return found


def remember(path: Path, sha256: str) -> None:
    """Save others the reading of a file whose content is known."""
    _remember(_mark(path), sha256)


def _mark(path: Path) -> Path:
    """Where a file's hash is kept as long as nobody touches it. What sets the time of a change of
    content back is seen by the time of that: nobody sets st_ctime."""
    stat = path.stat()
    times = f"{stat.st_mtime_ns} {stat.st_ctime_ns}"
    seen = f"{path.resolve()} {stat.st_ino} {stat.st_size} {times}"
    return disk.cache("hashes") / hashlib.sha256(seen.encode()).hexdigest()


def _remembered(mark: Path) -> str:
    try:
        known = mark.read_text()
        whole = len(bytes.fromhex(known)) == hashlib.sha256().digest_size
    except (OSError, ValueError):
        return ""
    return known if whole else ""  # an empty file may be what a crash left


def _remember(mark: Path, sha256: str) -> None:
    draft = mark.with_name(f".{mark.name}.{os.getpid()}")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(sha256)
        draft.replace(mark)
    except OSError:  # no place to remember it: hashed again next time
        pass
