"""Folders of a remote store, once a node: fetched under a lock, kept, evicted by age and size.

A copy's name is the hash of its files' names, sizes and etags, so other content is another copy.
Each copy has a lock beside it: whoever fetches or removes it holds it alone, and whoever uses it
holds it together with others until its process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lmtx_ray.io import disk, storage
from lmtx_ray.io.locations import Entry, StorageError

SIZE = "LMTX_CACHE_GB"  # of all copies together, before the oldest are removed; 100 if unset
MOST_SECONDS = 30 * 24 * 3600.0  # that a copy is kept without being used
BLOCK = 8 << 20
_used: dict[Path, int] = {}  # lock files that this process holds open


def node_copy(uri: str) -> str:
    """A local folder with the files under `uri`: itself if local, else this node's copy of it.

    Raises:
        StorageError: Nothing is there, it cannot be read, or it changed while it was fetched.
    """
    location = storage.parse_uri(uri)
    if location.scheme == "file":
        return location.path
    entries = storage.list_entries(uri)
    if not entries:
        raise StorageError(f"{uri}: no such folder")
    kept = disk.cache("models") / _name(uri, entries)
    with disk.named(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        while not _is_used(kept):
            with _alone(kept):
                if not kept.is_dir():
                    _evict(kept.parent, sum(entry.size for entry in entries))
                    _fetch(uri, entries, kept)
        os.utime(kept)
    return str(kept)


def _name(uri: str, entries: Sequence[Entry]) -> str:
    parts = [f"{_within(uri, entry)} {entry.size} {entry.etag}" for entry in entries]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _within(uri: str, entry: Entry) -> str:
    """A file's path in the folder. Raises StorageError for a key that leads out of it."""
    name = entry.uri.removeprefix(f"{uri.rstrip('/')}/")
    if name.startswith("/") or ".." in name.split("/"):
        raise StorageError(f"{entry.uri}: leads out of its folder")
    return name


def _lock_file(kept: Path) -> Path:
    return kept.with_name(f".{kept.name}.lock")


def _draft(kept: Path) -> Path:
    return kept.with_name(f".{kept.name}.draft")


def _is_used(kept: Path) -> bool:
    """Whether the copy is there; from now on it stays as long as this process."""
    file = _used.pop(kept, None)
    if file is None:
        file = os.open(_lock_file(kept), os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(file, fcntl.LOCK_SH)
    if kept.is_dir():
        _used[kept] = file
        return True
    os.close(file)
    return False


@contextmanager
def _alone(kept: Path, wait: bool = True) -> Iterator[None]:
    """The block runs while no other process uses, fetches or removes the copy.

    Raises:
        BlockingIOError: One does, and `wait` is false.
    """
    file = os.open(_lock_file(kept), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(file)


def _fetch(uri: str, entries: Sequence[Entry], kept: Path) -> None:
    draft = _draft(kept)
    shutil.rmtree(draft, ignore_errors=True)  # what a killed process left
    try:
        for entry in entries:
            path = draft / _within(uri, entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            with storage.open_input(entry.uri, entry.etag) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, BLOCK)
        draft.rename(kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _evict(folder: Path, coming: int) -> None:
    """Remove what killed processes left, what was not used for long and, the oldest first, what
    leaves no room for `coming` bytes; what a process uses stays."""
    for draft in folder.glob(".*.draft"):
        _remove(folder / draft.name[1:].removesuffix(".draft"))
    copies = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    used = {path: path.stat().st_mtime for path in copies}
    sizes = {path: sum(entry.size for entry in disk.entries(path)) for path in copies}
    most = float(os.environ.get(SIZE) or 100) * 1e9
    for path in sorted(copies, key=used.__getitem__):
        is_old = time.time() - used[path] > MOST_SECONDS
        if (is_old or sum(sizes.values()) + coming > most) and _remove(path):
            del sizes[path]


def _remove(kept: Path) -> bool:
    """Remove a copy, and its draft, unless a process is at it; whether it could."""
    try:
        with _alone(kept, wait=False):
            shutil.rmtree(_draft(kept), ignore_errors=True)
            if kept.is_dir():
                kept.rename(_draft(kept))
                shutil.rmtree(_draft(kept), ignore_errors=True)
    except BlockingIOError:
        return False
    return True
