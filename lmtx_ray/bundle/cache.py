"""Bundles on this machine: a local one where it lies, one from S3 fetched once a node.

A process opens a bundle with the files it wants and holds it for as long as it needs them. A copy's
name is the hash of its manifest.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmtx_ray.corpus.schemas import BUNDLE_VERSION
from lmtx_ray.io import copies, storage
from lmtx_ray.io.fetch import check, fetch
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST, common_folder
from lmtx_ray.io.receipts import PublishError, StoredFile
from lmtx_ray.search import row_labels
from lmtx_ray.search.shard_file import SHARD

DESCRIPTION, LABELS, INDEX, JUDGED = "bundle.json", "labels.parquet", "index/", "judged.parquet"
EXAMPLES = "encoder_examples.json"  # in a bundle whose labels were edited
ROW_LABELS = f"{INDEX}{row_labels.FILE}"  # of edited labels, or with vectors of aliases


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
        return sorted(name for name in self.files if name.startswith(INDEX + SHARD))

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
    copy: copies.Copy | None = None


def published_bundle(uri: str) -> Published:
    """The manifest of a bundle, or of the newest one of a run.

    Raises:
        PublishError: Not a published bundle, or a name that leads out of its folder.
    """
    uri = resolve(uri)
    manifest = Dataset(uri).manifest()
    if not manifest.files:
        raise PublishError(f"{uri}: no folder of files, so no bundle")
    files = manifest.files
    key = hashlib.sha256(storage.to_json(manifest.to_dict())).hexdigest()[:32]
    return Published(uri, key, files)


def require_bundle(uri: str) -> Published:
    """What a bundle's manifest says, where there is a bundle that this version can read. Takes
    milliseconds: asked before a library is loaded.

    Raises:
        PublishError: The message says what is at `uri` instead.
    """
    uri = resolve(uri)
    if not storage.exists(uri):
        raise PublishError(f"{uri}: no such bundle: there is no file or folder of that name")
    if storage.stat(uri):
        raise PublishError(f"{uri}: a bundle is a folder, and this is a file")
    if not storage.exists(storage.join(uri, MANIFEST)):
        raise PublishError(f"{uri}: not a bundle, it has no {MANIFEST}{_nearby(uri)}")
    published = published_bundle(uri)
    if DESCRIPTION not in published.files:
        raise PublishError(f"{uri}: not a bundle, it has no {DESCRIPTION}{_nearby(uri)}")
    check_version(uri, storage.read_json(published.location(DESCRIPTION)))
    return published


def _nearby(uri: str) -> str:
    """A hint where the bundles of a run's folder, or of the one beside, are meant."""
    location = storage.parse_uri(uri)
    if location.scheme != "file":
        return ""
    found = sorted(Path(location.path).glob(f"bundle*/{MANIFEST}"))
    return f"; did you mean {found[-1].parent}?" if found else ""


def check_version(uri: str, description: Mapping[str, Any]) -> None:
    """PublishError where a bundle's description is of another version than this package reads."""
    if description.get("version") != BUNDLE_VERSION:
        raise PublishError(
            f"{uri}: a bundle of version {description.get('version')}, this reads version "
            f"{BUNDLE_VERSION}; run the config that made it again (`lmtx run`): what the judge "
            "said is kept"
        )


def open_bundle(uri: str, wanted: Callable[[str], bool] = lambda name: True) -> LocalBundle:
    """The files of a bundle, or of a step that is a folder of files, that `wanted(name)` asks for,
    each of the content that was published.

    Raises:
        PublishError: Not a published bundle, or a file was changed.
        StorageError: A file cannot be read.
    """
    published = published_bundle(uri)
    names = [name for name in published.files if wanted(name)]
    location = storage.parse_uri(published.uri)
    if location.scheme == "file" and (own := common_folder(location.path, published.files)):
        for name in names:
            check(Path(own, name), published.files[name].sha256, published.location(name))
        return LocalBundle(own, published)
    # a step of a run is opened likewise, and may not push out a bundle that answers
    kind = copies.BUNDLES if DESCRIPTION in published.files else copies.STEPS
    copy = copies.hold(kind, published.key)
    for name in names:
        # a bundle that was made of another shares most of its files with that
        alike = copy.folder.parent.glob(f"*/{glob.escape(name)}")
        fetch(published.location(name), copy.folder / name, published.files[name].sha256, alike)
    return LocalBundle(str(copy.folder), published, copy)
