"""Published folders on this machine: local ones where they lie, those from S3 once a node."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from pathlib import Path

from lmtx_ray.io import disk, storage
from lmtx_ray.io.publish import MANIFEST, StepOutput


def local_bundle(uri: str) -> str:
    """A local folder with the bundle, every file checked against its manifest's SHA-256.

    Raises:
        PublishError: Not a published bundle, or a file was changed.
    """
    folder = local_folder(uri)
    StepOutput(folder, "").verify()
    return folder


def local_folder(uri: str) -> str:
    """A published folder on this machine: a local one where it lies, a remote one as a copy that
    all processes share, and may map.

    Copies are kept in LMTX_CACHE_DIR (~/.cache/lmtx_ray by default) under their manifest's hash, so
    that other content never answers to a cached name. They are checked when they are made.

    Raises:
        PublishError: A copy is not what was published.
    """
    if "://" not in uri or uri.startswith("file://"):
        return storage.parse_uri(uri).path
    manifest = storage.read_bytes(storage.join(uri, MANIFEST))
    kept = disk.cache("bundles") / hashlib.sha256(manifest).hexdigest()[:32]
    if not kept.is_dir():
        _fetch(uri, kept)
    return str(kept)


def _fetch(uri: str, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.parent / f".{kept.name}.{uuid.uuid4().hex}"
    try:
        storage.download_folder(uri, draft)
        StepOutput(str(draft), "").verify()
        draft.rename(kept)
    except OSError:
        if not kept.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
