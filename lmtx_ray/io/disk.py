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
    they can be compared with joined ones. Drafts are not files yet; a link that leads nowhere is
    one of no bytes, that who reads it should hear of."""
    found: list[Entry] = []
    for folder, names in _folders(root):
        inside = Path(folder).relative_to(root)
        for name in names:
            path = os.path.join(folder, name)
            with named(path):
                is_file = os.path.isfile(path)
                leads_nowhere = not is_file and not os.path.exists(path) and os.path.islink(path)
                if (is_file or leads_nowhere) and not name.startswith(DRAFT):
                    size = os.path.getsize(path) if is_file else 0
                    found.append(Entry(join(uri, *inside.parts, name), size))
    return sorted(found, key=lambda entry: entry.uri)


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """(folder, names in it that are no folders) of a folder and all below it; of linked ones too,
    but for those that lead to where they come from, or to what is there without them."""

    def refuse(error: OSError) -> None:
        raise StorageError(f"{error.filename}: {error.strerror}") from error

    real = Path(os.path.realpath(root))
    waiting, seen = [str(root)], set[Path]()
    while waiting:
        begin = waiting.pop(0)
        place = Path(os.path.realpath(begin))
        if place in real.parents or not seen.isdisjoint((place, *place.parents)):
            continue
        for folder, inner, names in os.walk(begin, onerror=refuse if root.is_dir() else None):
            yield folder, names
            here = place / Path(folder).relative_to(begin)
            inner[:] = sorted(name for name in inner if here / name not in seen)
            waiting += filter(os.path.islink, (os.path.join(folder, name) for name in inner))
        seen.add(place)


def drafts(root: Path) -> list[Path]:
    """What killed writers left under a folder."""
    return sorted(root.rglob(f"{DRAFT}*"))
