"""Files of a store on this machine: fetched once, whole, and of the content that was asked for.

Processes that want the same file wait for the one that fetches it and take what it left. What a
killed one left is written over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from lmtx_ray.io import copies, disk, locks, storage
from lmtx_ray.io.hashes import file_sha256, remember
from lmtx_ray.io.locations import Entry, StorageError
from lmtx_ray.io.receipts import PublishError


def fetch(uri: str, path: Path, sha256: str, alike: Iterable[Path] = ()) -> None:
    """Make `path` a copy of the published file at `uri`, or a link to it where it is on this
    machine. A copy of other content is fetched again. One of `alike`, files of this machine, that
    has the content is shared instead.

    Raises:
        PublishError: What is at `uri` has another SHA-256.
        StorageError: It cannot be read, or `path` not be written.
    """
    location = storage.parse_uri(uri)

    def bring(draft: Path) -> None:
        if location.scheme == "file":
            copies.make_room(0)
            draft.symlink_to(Path(location.path).absolute())
            check(draft, sha256, uri)
        elif not _shared(alike, draft, sha256):
            _download(_found(uri), draft)
            _refuse_other(storage.sha256_of(str(draft)), sha256, uri)

    if _once(path, lambda: file_sha256(path) == sha256, bring):
        remember(path, sha256)


def _shared(alike: Iterable[Path], draft: Path, sha256: str) -> bool:
    """Make `draft` another name of the first file that has the content; whether there was one."""
    for path in alike:
        with suppress(OSError):  # others may remove what nobody uses
            if file_sha256(path) == sha256:
                os.link(path, draft)
                remember(path, sha256)  # a link changes the times that a hash is known by
                return True
    return False


def fetch_version(entry: Entry, path: Path) -> None:
    """Make `path` a copy of a file of this size and etag.

    Raises:
        StorageError: It is another by now, it cannot be read, or `path` not be written.
    """
    _once(path, lambda: path.stat().st_size == entry.size, lambda draft: _download(entry, draft))


def fetch_unchanging(uri: str, path: Path) -> None:
    """Make `path` a copy of a file that is never written twice; without a look at the store where
    it is there already.

    Raises:
        StorageError: It cannot be read, or `path` not be written.
    """
    _once(path, lambda: True, lambda draft: _download(_found(uri), draft))


def check(path: Path, sha256: str, uri: str) -> None:
    """PublishError where a local file has another content than was published at `uri`."""
    if not path.is_file():
        raise PublishError(f"{uri}: the file is missing")
    _refuse_other(file_sha256(path), sha256, uri)


def _once(path: Path, is_whole: Callable[[], bool], bring: Callable[[Path], None]) -> bool:
    """Have `bring` write a draft that becomes `path`, unless it is whole; whether it did."""
    with locks.exclusive(path.with_name(f".{path.name}.lock")), disk.named(path):
        if path.exists() and is_whole():
            return False
        draft = path.with_name(f"{disk.DRAFT}{path.name}")
        draft.unlink(missing_ok=True)
        bring(draft)
        draft.replace(path)
        return True


def _found(uri: str) -> Entry:
    entry = storage.stat(uri)
    if entry is None:
        raise StorageError(f"{uri}: no such file")
    return entry


def _download(entry: Entry, draft: Path) -> None:
    copies.make_room(entry.size)
    storage.download_file(entry.uri, draft, entry.etag)


def _refuse_other(found: str, sha256: str, uri: str) -> None:
    if found != sha256:
        raise PublishError(f"{uri} is not the file that was published")
