"""Layers of a store on this machine: local ones where they lie, those on S3 fetched once a node.
A layer's file is never written twice, so a copy under its name is good for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lmtx_ray.io import copies, storage
from lmtx_ray.io.fetch import fetch_unchanging

KEYS = ".npy"  # what the array of document prefixes beside a layer's file ends in


@dataclass(frozen=True)
class LocalLayer:
    """A layer's file on this machine, its array of keys beside it. It is in use, and nobody removes
    a copy of it, for as long as this object is there."""

    path: Path
    copy: copies.Copy | None = None


def local_file(partition: str, name: str) -> LocalLayer:
    """The layer's file `name` of the partition at a URI.

    Raises:
        StorageError: It is on S3 and cannot be fetched.
    """
    location = storage.parse_uri(partition)
    if location.scheme == "file":
        return LocalLayer(Path(location.path) / "layers" / name)
    uri = storage.join(partition, "layers", name)
    copy = copies.hold(copies.VERDICTS, hashlib.sha256(uri.encode()).hexdigest()[:32])
    path = copy.folder / name
    for file in (path.with_suffix(KEYS), path):
        fetch_unchanging(storage.join(partition, "layers", file.name), file)
    return LocalLayer(path, copy)
