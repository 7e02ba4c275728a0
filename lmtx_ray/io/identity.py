"""What makes two things the same: fingerprints of settings and inputs, the content of models."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lmtx_ray.io import disk, storage

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
            digest.update(_content(path))
    return digest.hexdigest()[:12]


def _counts(name: str) -> bool:
    return Path(name).suffix in SUFFIXES


def _content(path: Path) -> bytes:
    """SHA-256 of a file, remembered by path, size and time of change: weights are large, and every
    command asks."""
    stat = path.stat()
    seen = f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    name = hashlib.sha256(seen.encode()).hexdigest()
    kept = disk.cache("hashes") / name
    try:
        content = bytes.fromhex(kept.read_text())
    except (OSError, ValueError):
        content = b""
    if len(content) == hashlib.sha256().digest_size:  # an empty file may be what a crash left
        return content
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").digest()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_name(f".{name}.{os.getpid()}")
        draft.write_text(content.hex())
        draft.replace(kept)
    except OSError:  # no place to remember it: hashed again next time
        pass
    return content
