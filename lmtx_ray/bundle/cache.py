"""Bundles on this machine: a local one where it lies, one from S3 fetched once a node.

A process opens a bundle with the files it wants and holds it for as long as it needs them; what
nobody holds goes when there are too many.

    LMTX_CACHE_DIR/bundles/HASH/…     files under their own names, HASH of the manifest
    LMTX_CACHE_DIR/bundles/HASH.lock  shared by all who hold it, and changed when it is opened
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lmtx_ray.io import disk, locks, storage
from lmtx_ray.io.fetch import check, fetch
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST
from lmtx_ray.io.receipts import PublishError, StoredFile

MOST, MOST_GIB = "LMTX_CACHE_BUNDLES", "LMTX_CACHE_GIB"
DESCRIPTION, INDEX = "bundle.json", "index/"
KEPT = 4  # the one that answers, the one before it, and room for two to come


@dataclass(frozen=True)
class Published:
    """What a bundle's manifest says: its files by the names that loaders know."""

    uri: str
    key: str
    files: Mapping[str, StoredFile]

    def location(self, name: str) -> str:
        """The URI of a file."""
        return storage.join(self.uri, self.files[name].name)

    def index_files(self) -> list[str]:
        """Names of the index's shards, in the order of their rows."""
        return sorted(name for name in self.files if name.startswith(f"{INDEX}shard-"))

    def size(self, name: str) -> int:
        """Bytes of a file; PublishError where it is missing."""
        entry = storage.stat(self.location(name))
        if entry is None:
            raise PublishError(f"{self.location(name)}: the file is missing")
        return entry.size


@dataclass(frozen=True)
class LocalBundle:
    """A folder with files of a bundle, under the names that loaders know. It is in use, and nobody
    removes it, for as long as this object is there."""

    folder: str
    published: Published
    lock: locks.SharedLock | None = None


def read_published(uri: str) -> Published:
    """The manifest of a bundle.

    Raises:
        PublishError: Not a published bundle, or a name that leads out of its folder.
    """
    manifest = Dataset(uri).manifest()
    if not manifest.files:
        raise PublishError(f"{uri}: no folder of files, so no bundle")
    files = manifest.files
    for name in [*files, *(stored.name for stored in files.values())]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise PublishError(f"{uri}: {MANIFEST} names {name!r}, outside of its folder")
    key = hashlib.sha256(storage.to_json(manifest.to_dict())).hexdigest()[:32]
    return Published(uri, key, files)


def open_bundle(uri: str, wanted: Callable[[str], bool] = lambda name: True) -> LocalBundle:
    """The files of a bundle that `wanted(name)` asks for, each of the content that was published.

    Raises:
        PublishError: Not a published bundle, or a file was changed.
        StorageError: A file cannot be read.
    """
    published = read_published(uri)
    names = [name for name in published.files if wanted(name)]
    location = storage.parse_uri(uri)
    if location.scheme == "file" and (own := _own_folder(published)):
        for name in names:
            check(Path(own, name), published.files[name].sha256, published.location(name))
        return LocalBundle(own, published)
    folder = disk.cache("bundles") / published.key
    lock = locks.SharedLock(_lock_of(folder))
    os.utime(_lock_of(folder))
    for name in names:
        fetch(published.location(name), folder / name, published.files[name].sha256)
    evict(folder.parent)
    return LocalBundle(str(folder), published, lock)


def _own_folder(published: Published) -> str | None:
    """Where all files of a local bundle lie under their own names, if there is such a folder."""
    folders = {file.name.removesuffix(name) for name, file in published.files.items()}
    local = storage.parse_uri(published.uri).path
    return storage.join(local, folders.pop().rstrip("/")).rstrip("/") if len(folders) == 1 else None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def evict(cache: Path) -> None:
    """Remove what is beyond LMTX_CACHE_BUNDLES bundles or LMTX_CACHE_GIB, longest unused first;
    a bundle that some process holds stays.

    Raises:
        ValueError: One of the two is no positive number.
    """
    folders = [path for path in cache.iterdir() if path.is_dir()]
    newest = sorted(folders, key=_last_opened, reverse=True)
    sizes = ((folder, _bytes_in(folder)) for folder in newest)
    for folder in surplus(sizes, int(_setting(MOST, KEPT)), _setting(MOST_GIB, float("inf"))):
        with locks.exclusive(_lock_of(folder), wait=False) as alone:
            if alone:
                shutil.rmtree(folder, ignore_errors=True)


def surplus(sizes: Iterable[tuple[Path, int]], most: int, most_gib: float) -> list[Path]:
    """Of folders and their bytes, newest first, those beyond `most` folders or `most_gib`."""
    found, total = [], 0
    for place, (folder, size) in enumerate(sizes):
        total += size
        if place >= most or total > most_gib * 2**30:
            found.append(folder)
    return found


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may remove the folder
            total += path.lstat().st_size
    return total


def _last_opened(folder: Path) -> float:
    lock = _lock_of(folder)
    return lock.stat().st_mtime if lock.exists() else 0.0


def _setting(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{name}={text!r}: a positive number is needed")
    return value
