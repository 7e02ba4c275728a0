"""Files of a store on this machine: local ones where they lie, those on S3 fetched once a node.

A layer's file never changes, so a copy under its name is good for ever; copies that nobody looked
at for a week are removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from lmtx_ray.io import disk, storage

KEYS = ".npy"  # what the array of document prefixes beside a layer's file ends in
KEPT_SECONDS = 7 * 86_400


def local_file(partition: str, name: str) -> Path:
    """The path of a layer's file on this machine, its array of keys beside it."""
    location = storage.parse_uri(partition)
    if location.scheme == "file":
        return Path(location.path) / "layers" / name
    folder = disk.cache("verdicts") / hashlib.sha256(partition.encode()).hexdigest()[:16]
    path = folder / name
    for file in (path.with_suffix(KEYS), path):
        if not _in_use(file):
            _fetch(storage.join(partition, "layers", file.name), file)
    _evict(folder)
    return path


def _in_use(path: Path) -> bool:
    """Whether it is there; from now on for another week."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _fetch(uri: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with storage.open_input(uri) as source, draft.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _evict(folder: Path) -> None:
    limit = time.time() - KEPT_SECONDS
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process may do the same
            if path.stat().st_mtime < limit:
                path.unlink()
