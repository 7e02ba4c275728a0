"""What makes two things the same: fingerprints of settings and inputs, the content of models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.hashes import file_sha256

SUFFIXES = {".json", ".safetensors", ".txt", ".model", ".jinja"}


def fingerprint(*parts: Any) -> str:
    """12 hexadecimal characters of the SHA-256 of the parts' canonical JSON.

    Parts are strings, numbers, None, lists, dicts (any key order) and models of settings.
    """
    plain = [p.model_dump(mode="json") if hasattr(p, "model_dump") else p for p in parts]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def model_identity(model: str) -> str:
    """Hash over a model folder's files: their content in a local one, their etags in one on s3. Of
    a hub id the id: which commit is meant says `revision`."""
    if model.startswith("s3://"):
        folder = f"{model.rstrip('/')}/"
        entries = [entry for entry in storage.list_entries(model) if _counts(entry.uri)]
        parts = [[entry.uri.removeprefix(folder), entry.size, entry.etag] for entry in entries]
        return fingerprint(parts) if parts else fingerprint(model)
    local = Path(model)
    if not model or not local.is_dir():
        return fingerprint(model)
    digest = hashlib.sha256()
    for path in sorted(local.rglob("*")):
        if path.is_file() and _counts(path.name):
            digest.update(path.relative_to(local).as_posix().encode())
            digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()[:12]


def _counts(name: str) -> bool:
    return Path(name).suffix in SUFFIXES
