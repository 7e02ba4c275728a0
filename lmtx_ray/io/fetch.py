"""Published files on this machine: fetched once, whole, and of the content that was published."""

from __future__ import annotations

from pathlib import Path

from lmtx_ray.io import disk, locks, storage
from lmtx_ray.io.hashes import file_sha256, remember
from lmtx_ray.io.receipts import PublishError


def fetch(uri: str, path: Path, sha256: str) -> None:
    """Make `path` a copy of the file at `uri`, or a link to it where it is on this machine.

    Processes that want the same file wait for the one that fetches it and take what it left. A copy
    of other content is fetched again.

    Raises:
        PublishError: What is at `uri` has another SHA-256.
        StorageError: It cannot be read, or `path` not be written.
    """
    with locks.exclusive(path.with_name(f".{path.name}.lock")):
        if path.exists() and file_sha256(path) == sha256:
            return
        location = storage.parse_uri(uri)
        draft = path.with_name(f"{disk.DRAFT}{path.name}")  # what a killed one left is written over
        with disk.named(path):
            draft.unlink(missing_ok=True)
            if location.scheme == "file":
                draft.symlink_to(Path(location.path).absolute())
                check(draft, sha256, uri)
                draft.replace(path)
            else:
                storage.download_file(uri, draft)
                _refuse_other(storage.sha256_of(str(draft)), sha256, uri)
                draft.replace(path)
                remember(path, sha256)


def check(path: Path, sha256: str, uri: str) -> None:
    """PublishError where a local file has another content than was published at `uri`."""
    if not path.is_file():
        raise PublishError(f"{uri}: the file is missing")
    _refuse_other(file_sha256(path), sha256, uri)


def _refuse_other(found: str, sha256: str, uri: str) -> None:
    if found != sha256:
        raise PublishError(f"{uri} is not the file that was published")
