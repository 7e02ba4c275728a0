"""Folders of a remote store, once a node. A copy's name is the hash of its files' names, sizes and
etags, so other content is another copy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lmtx_ray.io import copies, storage
from lmtx_ray.io.fetch import fetch_version
from lmtx_ray.io.locations import Entry, StorageError, within

_used: dict[Path, copies.Copy] = {}  # by this process, until it ends


def node_copy(uri: str) -> str:
    """A local folder with the files under `uri`: itself if local, else this node's copy of it,
    which stays as long as this process.

    Raises:
        StorageError: Nothing is there, it cannot be read, or it changed while it was fetched.
    """
    location = storage.parse_uri(uri)
    if location.scheme == "file":
        return location.path
    entries = storage.list_entries(uri)
    if not entries:
        raise StorageError(f"{uri}: no such folder")
    copy = copies.hold(copies.MODELS, _name(uri, entries))
    for entry in entries:
        fetch_version(entry, copy.folder / within(uri, entry.uri))
    _used[copy.folder] = copy
    return str(copy.folder)


def _name(uri: str, entries: Sequence[Entry]) -> str:
    parts = [f"{within(uri, entry.uri)} {entry.size} {entry.etag}" for entry in entries]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
