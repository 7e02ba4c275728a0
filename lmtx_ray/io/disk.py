"""Files on a local disk: whole or not at all, and every failure a StorageError naming the file."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lmtx_ray.io.locations import Entry, StorageError, join

DRAFT = ".draft-"  # how the name of a file begins that is not whole yet
SAID = {errno.EISDIR: "it is a folder, and a file is needed"}


def cache(kind: str) -> Path:
    """The folder of this machine's copies of one kind: under LMTX_CACHE_DIR, or else under
    ~/.cache/lmtx_ray. It need not be there."""
    default = Path.home() / ".cache" / "lmtx_ray"
    return Path(os.environ.get("LMTX_CACHE_DIR") or default) / kind


@contextmanager
def named(path: Path | str) -> Iterator[None]:
    """An OSError of the block as a StorageError that names `path`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path}: {SAID.get(error.errno or 0) or error.strerror or error}"
        ) from error


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """What `write` writes becomes the file's content: readers see the old or the new."""
    _place(path, write, os.replace)


def share(source: Path, target: Path) -> None:
    """A file under another name too; its content copied where the disks differ or have no links."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    except OSError:
        with named(source), source.open("rb") as file:
            replace(target, lambda copy: shutil.copyfileobj(file, copy, 1 << 20))


def put_if_absent(path: Path, data: bytes) -> bool:
    """Write only if nothing is there; False when another write came first."""
    try:
        _place(path, lambda file: file.write(data), os.link)
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError) and path.exists():
            return False
        raise
    return True


def _place(
    path: Path, write: Callable[[BinaryIO], object], place: Callable[[Path, Path], object]
) -> None:
    draft = path.parent / f"{DRAFT}{uuid.uuid4().hex[:12]}"
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            place(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def write_at(file: int, data: bytes, start: int) -> None:
    """All of `data` into an open file from the byte `start` on; a disk may take less at a time."""
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], start + written)


def entries(root: Path, uri: str) -> list[Entry]:
    """All files under a folder, sorted; their URIs begin with `uri`, as which it was given, so that
    they can be compared with joined ones. Drafts are not files yet."""

    def refuse(error: OSError) -> None:
        raise StorageError(f"{error.filename}: {error.strerror}") from error

    found: list[Entry] = []
    for folder, _, names in os.walk(root, onerror=refuse if root.is_dir() else None):
        inside = Path(folder).relative_to(root)
        for name in names:
            path = os.path.join(folder, name)
            with named(path):
                if os.path.isfile(path) and not name.startswith(DRAFT):
                    found.append(Entry(join(uri, *inside.parts, name), os.path.getsize(path)))
    return sorted(found, key=lambda entry: entry.uri)


def drafts(root: Path) -> list[Path]:
    """What killed writers left under a folder."""
    return sorted(root.rglob(f"{DRAFT}*"))
