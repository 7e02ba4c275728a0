"""Bundles on this machine: a local one where it lies, one from S3 downloaded once a node."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path

from lmtx_ray.io import disk, storage
from lmtx_ray.io.publish import MANIFEST, Dataset
from lmtx_ray.io.receipts import Manifest, PublishError


def local_bundle(uri: str) -> str:
    """A local folder with the bundle, every file checked against its manifest's SHA-256.

    Remote bundles are kept in LMTX_CACHE_DIR (~/.cache/lmtx_ray by default) under their manifest's
    hash, so that other content never answers to a cached name.

    Raises:
        PublishError: Not a published bundle, or a file was changed.
    """
    if "://" not in uri or uri.startswith("file://"):
        local = Dataset(storage.parse_uri(uri).path)
        local.verify()
        return local.folder()
    manifest = storage.read_bytes(storage.join(uri, MANIFEST))
    kept = disk.cache("bundles") / hashlib.sha256(manifest).hexdigest()[:32]
    if not kept.is_dir():
        _fetch(uri, kept)
    _verify_copy(kept, Manifest.from_dict(json.loads(manifest)))
    return str(kept)


def _verify_copy(kept: Path, manifest: Manifest) -> None:
    for name, file in manifest.files.items():
        if storage.sha256_of(str(kept / name)) != file.sha256:
            raise PublishError(f"{kept}: {name} is not the file that was published")


def _fetch(uri: str, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.parent / f".{kept.name}.{uuid.uuid4().hex}"
    try:
        Dataset(uri).download(draft)
        draft.rename(kept)
    except OSError:
        if not kept.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
