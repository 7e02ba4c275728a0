"""Bytes, JSON and tables at local or s3 URIs.

Every URI goes through `locations.parse_uri` before it reaches a library. Writes are atomic;
`put_if_absent` is the primitive that publishing builds on.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.io import disk
from lmtx_ray.io.counted import Counted
from lmtx_ray.io.locations import Entry, Location
from lmtx_ray.io.locations import StorageError as StorageError  # offered here too
from lmtx_ray.io.locations import join as join
from lmtx_ray.io.locations import parse_uri as parse_uri
from lmtx_ray.io.plain_json import finite

if TYPE_CHECKING:
    from lmtx_ray.io.s3 import Bucket

DISK_BYTES, S3_BYTES = 1 << 14, 1 << 17  # read at a time: progress is told in steps of these


def _s3(location: Location) -> Bucket:
    from lmtx_ray.io import s3  # boto3 loads only when an s3 URI is used

    return s3.Bucket(location.bucket)


def local_path(uri: str) -> Path:
    """The local path of a file URI. Raises StorageError for s3."""
    location = parse_uri(uri)
    if location.scheme != "file":
        raise StorageError(f"{uri!r}: needs a local path here")
    return Path(location.path)


def absolute(uri: str) -> str:
    """The same location whatever a process's working folder is (Ray Train changes it), without a
    slash at its end."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return uri.rstrip("/")
    return str(Path(location.path).absolute())


def usable(uri: str) -> str:
    """`absolute` for settings, where a ValueError is told with its field: of a location that cannot
    be used."""
    try:
        return absolute(uri)
    except StorageError as error:
        raise ValueError(str(error)) from None


def exists(uri: str) -> bool:
    """Whether a file (or a non-empty s3 prefix, or a local folder) is there."""
    location = parse_uri(uri)
    if location.scheme == "file":
        with disk.named(uri):
            return Path(location.path).exists()
    return _s3(location).exists(location.path)


def stat(uri: str) -> Entry | None:
    """Size and etag of a file; None where there is no file (a folder is none)."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return _s3(location).head(location.path) if location.path else None
    path = Path(location.path)
    with disk.named(uri):
        return Entry(uri, path.stat().st_size) if path.is_file() else None


def list_entries(uri: str) -> list[Entry]:
    """All files under a folder with size and etag, sorted; an absent folder has none. The URIs are
    joined to `uri` as it is written."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return sorted(_s3(location).entries(location.path), key=lambda entry: entry.uri)
    return disk.entries(Path(location.path), uri)


def list_files(uri: str, suffix: str = "") -> list[str]:
    """URIs of all files under a folder, sorted; an absent folder (or a file) has none."""
    return [entry.uri for entry in list_entries(uri) if entry.uri.endswith(suffix)]


def list_folders(uri: str) -> list[str]:
    """Names of the folders directly under a folder, sorted; an absent one has none."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return sorted(_s3(location).folders(location.path))
    with disk.named(uri):
        folder = Path(location.path)
        inside = folder.iterdir() if folder.is_dir() else ()
        return sorted(one.name for one in inside if one.is_dir())


def read_bytes(uri: str) -> bytes:
    """A file's content. Raises StorageError naming the URI when it cannot be read."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return _s3(location).get(location.path)
    with disk.named(uri):
        return Path(location.path).read_bytes()


def open_input(uri: str, etag: str = "") -> io.BufferedReader:
    """A seekable, buffered binary stream over a file, of which little is in memory.

    Raises:
        StorageError: It cannot be read, or (s3) its content is not the one of `etag`.
    """
    location = parse_uri(uri)
    if location.scheme == "s3":
        return io.BufferedReader(Counted(_s3(location).open(location.path, etag)), S3_BYTES)
    with disk.named(uri):
        return io.BufferedReader(Counted(io.FileIO(location.path)), DISK_BYTES)


def read_start(uri: str, length: int, etag: str = "") -> bytes:
    """The first bytes of a file, of which no more are fetched. Raises as `open_input`."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return _s3(location).start(location.path, length, etag)
    with open_input(uri) as file:
        return file.read(length)


def write_bytes(uri: str, data: bytes) -> None:
    """Replace a file's content atomically: readers see the old or the new, never a part."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        _s3(location).put(location.path, data)
    else:
        disk.replace(Path(location.path), lambda file: file.write(data))


def put_file(local: str | Path, uri: str) -> None:
    """A local file's content at `uri`, atomically; to s3 in parts when it is big."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        _s3(location).upload(Path(local), location.path)
        return
    with Path(local).open("rb") as source:
        disk.replace(Path(location.path), lambda file: shutil.copyfileobj(source, file, 1 << 20))


def copy_file(source: str, target: str) -> None:
    """The content of a file that never changes at another place: on one disk both names share it,
    within s3 it does not come to this machine."""
    kinds = {parse_uri(uri).scheme for uri in (source, target)}
    if kinds == {"s3"}:
        _s3(parse_uri(target)).copy(parse_uri(source), parse_uri(target).path)
    elif kinds == {"file"}:
        disk.share(local_path(source), local_path(target))
    else:
        with scratch_folder() as folder:
            download_file(source, Path(folder, "file"))
            put_file(Path(folder, "file"), target)


def put_if_absent(uri: str, data: bytes) -> bool:
    """Write only if nothing is there; False when another write came first."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        return _s3(location).put_if_absent(location.path, data)
    return disk.put_if_absent(Path(location.path), data)


def put_is_conditional(folder: str) -> bool:
    """Whether `put_if_absent` can be trusted under a folder; some s3 stores ignore the condition.
    Seen by writing one object there twice."""
    location = parse_uri(folder)
    if location.scheme == "file":
        return True
    return _s3(location).put_is_conditional(location.path)


def remove_file(uri: str) -> None:
    """Delete one file; an absent one is fine."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        _s3(location).call("delete_object", location.path)
    else:
        with disk.named(uri):
            Path(location.path).unlink(missing_ok=True)


def read_json(uri: str) -> Any:
    """Parsed JSON. Raises StorageError naming the file when it is not JSON."""
    try:
        return json.loads(read_bytes(uri))
    except ValueError as error:
        raise StorageError(f"{uri}: not JSON ({error})") from error


def to_json(value: Any) -> bytes:
    """Canonical JSON bytes: equal values give equal bytes."""
    plain = finite(value)
    return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_table(uri: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file as a table; of some columns only, if they are named.

    Raises:
        StorageError: Not Parquet, or a column of an extension type: such types can carry code,
            so they are refused from the plain schema, before any value is read.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(read_bytes(uri)) if columns is None else open_input(uri))
    except pa.ArrowException as error:
        raise StorageError(f"{uri}: not a readable Parquet file ({error})") from error
    for column in file.schema_arrow:
        if isinstance(column.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (
            column.metadata or {}
        ):
            raise StorageError(f"{uri}: column {column.name!r} has an extension type, refused")
    return file.read(columns=None if columns is None else list(columns))


def table_bytes(table: pa.Table) -> bytes:
    """Parquet bytes; equal tables with equal schemas give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def write_table(uri: str, table: pa.Table) -> str:
    """Write a table as Parquet, atomically; returns the SHA-256 of the file."""
    data = table_bytes(table)
    write_bytes(uri, data)
    return hashlib.sha256(data).hexdigest()


def sha256_of(uri: str) -> str:
    """SHA-256 of a file's content."""
    with open_input(uri) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A local folder for the length of a block. Not a TemporaryDirectory: that is emptied when its
    process begins to exit, under the hands of a thread that still publishes from it."""
    folder = tempfile.mkdtemp(prefix="lmtx-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download_folder(uri: str, local: str | Path) -> None:
    """Copy a folder to a local one."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        _s3(location).download(location.path, Path(local))
        return
    if not Path(location.path).is_dir():
        raise StorageError(f"{uri}: no such folder")
    shutil.copytree(location.path, local, dirs_exist_ok=True)


def download_file(uri: str, local: str | Path, etag: str = "") -> None:
    """Copy a file to a local one, from s3 in several ranges at a time; not atomic.

    Raises:
        StorageError: It cannot be read, or (s3) its content is not the one of `etag`.
    """
    location = parse_uri(uri)
    if location.scheme == "s3":
        with disk.named(local):
            _s3(location).fetch(location.path, Path(local), etag)
        return
    with disk.named(uri):
        shutil.copyfile(location.path, local)


def remove_folder(uri: str) -> None:
    """Delete everything under `uri`: only for drafts of our own, never a published step."""
    location = parse_uri(uri)
    if location.scheme == "s3":
        _s3(location).remove(location.path)
    else:
        shutil.rmtree(location.path, ignore_errors=True)
