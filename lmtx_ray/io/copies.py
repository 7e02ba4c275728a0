"""Copies of remote folders on this machine: held while they are used, and removed for others.

    LMTX_CACHE_DIR/KIND/NAME/…     files under their own names; NAME stands for their content
    LMTX_CACHE_DIR/KIND/NAME.lock  shared by all who use them, and changed when somebody begins to

Room is made before a file is fetched. What nobody uses goes, longest unused first: when there are
more bundles than LMTX_CACHE_BUNDLES, when all kinds together are more than LMTX_CACHE_GIB, and
after a month.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lmtx_ray.io import disk, locks

BUNDLES, STEPS, MODELS, VERDICTS = KINDS = "bundles", "steps", "models", "verdicts"
MOST_BUNDLES, MOST_GIB = "LMTX_CACHE_BUNDLES", "LMTX_CACHE_GIB"
KEPT_BUNDLES = 4  # the one that answers, the one before it, and room for two to come
KEPT_GIB = 100
MOST_SECONDS = 30 * 24 * 3600.0  # that a copy is kept without being used


@dataclass(frozen=True)
class Copy:
    """A folder that nobody removes for as long as this object is there. It may not be there yet."""

    folder: Path
    lock: locks.SharedLock


@dataclass(frozen=True)
class _Kept:
    folder: Path
    size: int  # bytes
    used: float  # seconds since the epoch

    @property
    def is_bundle(self) -> bool:
        return self.folder.parent.name == BUNDLES


def hold(kind: str, name: str) -> Copy:
    """Begin to use the copy `name` of one of the KINDS.

    Raises:
        StorageError: The cache's folder cannot be written.
    """
    folder = disk.cache(kind) / name
    lock = locks.SharedLock(_lock_of(folder))
    with disk.named(folder):
        os.utime(_lock_of(folder))
    return Copy(folder, lock)


def make_room(coming: int) -> None:
    """Remove what nobody uses and is too old, too many, or leaves no room for `coming` bytes.

    Raises:
        ValueError: LMTX_CACHE_BUNDLES or LMTX_CACHE_GIB is no positive number.
    """
    most, room = _setting(MOST_BUNDLES, KEPT_BUNDLES), _setting(MOST_GIB, KEPT_GIB) * 2**30
    kept = sorted(_all_kept(), key=lambda copy: copy.used)
    bundles, size = sum(copy.is_bundle for copy in kept), sum(copy.size for copy in kept) + coming
    for copy in kept:
        is_old = time.time() - copy.used > MOST_SECONDS
        is_one_too_many = size > room or (copy.is_bundle and bundles > most)
        if (is_old or is_one_too_many) and _remove(copy.folder):
            bundles, size = bundles - copy.is_bundle, size - copy.size


def _all_kept() -> Iterator[_Kept]:
    for kind in KINDS:
        with suppress(FileNotFoundError):  # nothing of this kind was fetched yet
            for folder in disk.cache(kind).iterdir():
                if folder.is_dir():
                    yield _Kept(folder, _bytes_in(folder), _last_used(folder))


def _bytes_in(folder: Path) -> int:
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # another process may remove the folder
                total += os.lstat(os.path.join(inner, name)).st_size
    return total


def _last_used(folder: Path) -> float:
    lock = _lock_of(folder)
    return lock.stat().st_mtime if lock.exists() else 0.0


def _remove(folder: Path) -> bool:
    """Remove a copy unless somebody uses it; whether nobody did."""
    with locks.exclusive(_lock_of(folder), wait=False) as alone:
        if alone:
            shutil.rmtree(folder, ignore_errors=True)
        return alone


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _setting(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{name}={text!r}: a positive number is needed")
    return value
