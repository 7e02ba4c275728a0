"""The identity of a model: its files' hash, or its name where the files are elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lmtx_ray import storage
from lmtx_ray.config import fingerprint

SUFFIXES = {".json", ".safetensors", ".txt", ".model"}


def model_identity(model: str) -> str:
    """Hash over a local model folder's files; for s3:// its manifest of sizes is not enough, so
    the URI itself, and for a hub id the id."""
    folder = Path(model)
    if model.startswith("s3://"):
        storage.parse_uri(model)
    if not model or not folder.is_dir():
        return fingerprint(model)
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in SUFFIXES:
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
