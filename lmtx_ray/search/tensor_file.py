"""Arrays in a safetensors file: written piece by piece, and read as a map of the file.

Pages of a mapped file belong to the machine, not to a process: any number of processes that read
one file hold it once, and what is not looked at takes no memory.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ALIGNED = 64  # bytes: where the arrays begin, so that none straddles a cache line needlessly
MOST_HEADER = 1 << 20
DTYPES = {"U8": "<u1", "I32": "<i4", "I64": "<i8", "F32": "<f4", "F64": "<f8"}
NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}


class TensorFileError(ValueError):
    """Not a safetensors file that can be mapped; the message names it and says why."""


@dataclass(frozen=True)
class TensorFile:
    """A file's arrays by name, read-only. They stay readable when the file is deleted."""

    arrays: dict[str, np.ndarray]
    pages: mmap.mmap
    starts: Mapping[str, int]  # where the bytes of each array begin in the file

    def forget(self) -> None:
        """Take the pages that were read out of this process; they come back when needed."""
        self.pages.madvise(mmap.MADV_DONTNEED)


def open_tensors(path: str | Path) -> TensorFile:
    """Map a file.

    Raises:
        TensorFileError: It is cut off, has no header of safetensors or a type not in DTYPES.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        if size < 8:
            raise TensorFileError(f"{path}: not a safetensors file")
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length = int.from_bytes(pages[:8], "little")
    try:
        if length > min(MOST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(pages[8 : 8 + length])
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        arrays = {name: _view(pages, 8 + length, entry) for name, entry in entries.items()}
        starts = {name: 8 + length + entry["data_offsets"][0] for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TensorFileError(f"{path}: not a safetensors file ({error})") from error
    return TensorFile(arrays, pages, starts)


def shape_of(path: str | Path, name: str) -> tuple[int, ...]:
    """An array's shape, from the header alone; TensorFileError where there is no such array."""
    arrays = open_tensors(path).arrays
    if name not in arrays:
        raise TensorFileError(f"{path}: holds no {name!r}")
    return arrays[name].shape


def _view(pages: mmap.mmap, start: int, entry: Mapping[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(DTYPES[entry["dtype"]]), [int(length) for length in entry["shape"]]
    first, end = entry["data_offsets"]
    count = math.prod(shape)
    if min([*shape, first], default=0) < 0 or end - first != count * dtype.itemsize:
        raise ValueError(f"offsets {first} to {end} for {count} of {dtype}")
    if start + end > len(pages):
        raise ValueError(f"cut off at {len(pages)} bytes")
    if count == 0:
        return np.zeros(shape, dtype)
    if (start + first) % dtype.itemsize:  # allowed, but nothing fast reads it where it lies
        return np.frombuffer(pages[start + first : start + end], dtype).reshape(shape)
    return np.frombuffer(pages, dtype, count, start + first).reshape(shape)


class TensorWriter:
    """Writes a file whose shapes are known before its content is. Through plain writes, not a map:
    a full disk is an OSError then, and not a signal that ends the process."""

    def __init__(self, path: str | Path, shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        """`shapes`: name -> (a key of DTYPES, shape)."""
        header: dict[str, dict[str, Any]] = {}
        self._next: dict[str, int] = {}
        end = 0
        # the widest first: the format allows no gaps, and each must lie on a multiple of its width
        for name, (kind, shape) in sorted(shapes.items(), key=lambda item: -_width(item[1][0])):
            first, end = end, end + math.prod(shape) * _width(kind)
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [first, end]}
            self._next[name] = first
        self._header, self._path = header, path
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % ALIGNED)
        self._start = 8 + len(text)
        self._file = Path(path).open("wb")  # noqa: SIM115 (closed by __exit__)
        self._file.write(len(text).to_bytes(8, "little") + text)

    def write(self, name: str, values: np.ndarray) -> None:
        """Append to an array; a value of another type than the array's is an error."""
        if NAMES[values.dtype] != self._header[name]["dtype"]:
            raise TensorFileError(f"{self._path}: {name} is no {values.dtype}")
        self._file.seek(self._start + self._next[name])
        self._next[name] += self._file.write(
            np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        )

    def written(self, name: str) -> np.ndarray:
        """An array that is written whole, mapped. TensorFileError where it is not yet."""
        self._check_whole([name])
        self._file.flush()
        entry = self._header[name]
        start = self._start + entry["data_offsets"][0]
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
        return np.memmap(self._path, dtype, "r", start, shape)

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._file.close()
        if kind is None:
            self._check_whole(self._header)

    def _check_whole(self, names: Iterable[str]) -> None:
        for name in names:
            if self._next[name] != self._header[name]["data_offsets"][1]:
                raise TensorFileError(f"{self._path}: {name} has not as many rows as announced")


def write_tensors(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    streams: Mapping[str, tuple[tuple[str, tuple[int, ...]], Iterable[np.ndarray]]] | None = None,
) -> None:
    """Write arrays that are there already, and `streams` that come in pieces: name -> (a key of
    DTYPES and a shape, pieces)."""
    shapes = {name: (NAMES[array.dtype], array.shape) for name, array in arrays.items()}
    later = streams or {}
    with TensorWriter(path, {**shapes, **{name: kind for name, (kind, _) in later.items()}}) as out:
        for name, array in arrays.items():
            out.write(name, array)
        for name, (_, pieces) in later.items():
            for piece in pieces:
                out.write(name, piece)


def overwrite(path: str | Path, name: str, values: np.ndarray) -> None:
    """Other values of the same type and shape in the place of an array's."""
    opened = open_tensors(path)
    there = opened.arrays[name]
    if (there.dtype, there.shape) != (values.dtype, values.shape):
        raise TensorFileError(f"{path}: {name} is {there.dtype} of {there.shape}")
    with Path(path).open("r+b") as file:
        file.seek(opened.starts[name])
        file.write(np.ascontiguousarray(values).tobytes())


def _width(kind: str) -> int:
    return np.dtype(DTYPES[kind]).itemsize
