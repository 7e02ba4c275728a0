"""Parquet inputs, batch by batch. A damaged file is a CorpusError, a broken disk a StorageError."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.corpus.lines import MANY, MOST_RATIO, CorpusError
from lmtx_ray.io import storage

ARROW_SCHEMA = re.compile(rb"ARROW:schema[^A-Za-z0-9+/]+([A-Za-z0-9+/=]+)")


@contextmanager
def _damage(uri: str) -> Iterator[None]:
    """pyarrow's complaints about content as CorpusError; errors of the system as StorageError."""
    try:
        yield
    except (storage.StorageError, CorpusError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:
            raise storage.StorageError(f"{uri}: {error}") from error
        raise CorpusError(f"{uri}: not a readable Parquet file ({error})") from error


@contextmanager
def open_parquet(uri: str, etag: str = "") -> Iterator[pq.ParquetFile]:
    """A file whose schema is harmless.

    Raises:
        CorpusError: Not Parquet, or a column of an extension type: such types can carry code, so
            they are refused from the bytes of the footer, before any library decodes them.
    """
    with storage.open_input(uri, etag) as file, _damage(uri):
        _refuse_extensions(uri, file)
        yield pq.ParquetFile(file)


def _refuse_extensions(uri: str, file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    tail = file.read(8)
    if size < 12 or tail[4:] != b"PAR1":
        raise CorpusError(f"{uri}: not a readable Parquet file (no PAR1 at its end)")
    length = int.from_bytes(tail[:4], "little")
    if length > size - 12:
        raise CorpusError(f"{uri}: not a readable Parquet file (its footer is cut off)")
    file.seek(size - 8 - length)
    footer = file.read(length)
    file.seek(0)
    for found in ARROW_SCHEMA.finditer(footer):
        # the last byte of the length before the text may look like a part of it
        schemas = [_unpacked(text) for text in (found[1], found[1][1:])]
        if any(b"ARROW:extension:name" in schema or not schema for schema in schemas):
            raise CorpusError(f"{uri}: a column has an extension type, refused")


def _unpacked(text: bytes) -> bytes:
    """What a text in base64 stands for; empty where it is none."""
    text = text.rstrip(b"=")
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except binascii.Error:
        return b""


def read_batches(
    uri: str,
    columns: Sequence[str] | None = None,
    groups: Sequence[int] | None = None,
    etag: str = "",
    rows: int = 512,
) -> Iterator[pa.RecordBatch]:
    """Batches of at most `rows` rows of some columns (None: all) and row groups (None: all).

    Columns that the file lacks are left out.
    """
    with open_parquet(uri, etag) as file, _damage(uri):
        names = column_names(file)
        wanted = None if columns is None else [name for name in names if name in set(columns)]
        groups = list(range(file.num_row_groups)) if groups is None else list(groups)
        for group in groups:
            _refuse_bomb(uri, file.metadata.row_group(group), wanted)
        yield from file.iter_batches(rows, row_groups=groups, columns=wanted)


def column_names(file: pq.ParquetFile) -> list[str]:
    """Names of the columns, nested ones by their root."""
    names: list[str] = file.schema_arrow.names
    return names


def _refuse_bomb(uri: str, group: pq.RowGroupMetaData, wanted: Sequence[str] | None) -> None:
    for place in range(group.num_columns):
        chunk = group.column(place)
        if wanted is not None and chunk.path_in_schema.split(".")[0] not in wanted:
            continue
        grown = chunk.total_uncompressed_size
        if grown > MANY and grown > MOST_RATIO * chunk.total_compressed_size:
            raise CorpusError(f"{uri}: it grows to more than {MOST_RATIO} times its size")
