"""The file of one index shard: label vectors, and their 8-bit copy where that is of use.

Written from a stream of vectors: no process needs to hold a shard in order to write it.
Shapes: L labels, D dimensions, R rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmtx_ray.search.int8_rows import Int8Rows, is_worth, ranges_of
from lmtx_ray.search.tensor_file import TensorWriter, open_tensors, shape_of

ROWS = 1 << 13  # worked on at a time
SHARD = "shard-"  # begins the names of an index's shards, and of no other file


def shard_name(number: int) -> str:
    """A shard's file in an index's folder."""
    return f"{SHARD}{number:05d}.safetensors"


def shard_files(folder: str | Path) -> list[Path]:
    """An index's files in the order of their rows; FileNotFoundError without any."""
    files = sorted(Path(folder).glob(f"{SHARD}*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no index shards")
    return files


@dataclass(frozen=True)
class Shard:
    """A shard's mapped arrays; `int8` is None for a file that was written without. `bytes_at` is
    where the 8-bit copy begins in the file."""

    vectors_LD: np.ndarray
    int8: Int8Rows | None
    bytes_at: int


def write_shard(
    path: str | Path, pieces: Iterable[np.ndarray], shape: tuple[int, int], start: int = 0
) -> None:
    """Write float32 vectors that come in `pieces` of any number of rows, [L, D] together.

    Raises:
        ValueError: A vector is not finite, named by its label, of which the first is `start`; or
            `shape` is not theirs.
    """
    labels, dimensions = shape
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {"vectors": ("F32", shape)}
    copied = is_worth(labels, 1)
    if copied:
        shapes |= {"bytes": ("U8", shape), "steps": ("F32", shape[1:]), "bounds": ("F32", (2,))}
    ranges_2D = np.zeros((0, dimensions), np.float32)
    with TensorWriter(path, shapes) as writer:
        for vectors_RD in _cut(pieces):
            if vectors_RD.shape[1] != dimensions:
                raise ValueError(f"{path}: vectors of {vectors_RD.shape[1]} and {dimensions}")
            check_finite(vectors_RD, start)
            start += len(vectors_RD)
            writer.write("vectors", vectors_RD)
            ranges_2D = ranges_of(np.concatenate([ranges_2D, ranges_of(vectors_RD)]))
        if copied:
            _write_int8(writer, ranges_2D)


def _write_int8(writer: TensorWriter, ranges_2D: np.ndarray) -> None:
    """The 8-bit copy of the vectors that were written: only all of them tell the steps."""
    bounds_2 = np.zeros(2, np.float32)
    for vectors_RD in _cut([writer.written("vectors")]):
        int8 = Int8Rows.of(vectors_RD, ranges_2D)
        writer.write("bytes", int8.bytes_LD)
        bounds_2 = np.maximum(bounds_2, int8.bounds_2)
    writer.write("steps", int8.steps_D)
    writer.write("bounds", bounds_2)


def read_shard(path: str | Path, start: int = 0) -> Shard:
    """Map a shard's file.

    Raises:
        ValueError: It holds no matrix of finite float32; the message names the file and the label,
            of which the first is `start`.
    """
    opened = open_tensors(path)
    vectors_LD = opened.arrays.get("vectors")
    if vectors_LD is None or vectors_LD.ndim != 2 or vectors_LD.dtype != np.float32:
        raise ValueError(f"{path}: holds no matrix of float32 named 'vectors'")
    try:
        check_finite(vectors_LD, start)
        int8 = Int8Rows.of_arrays(opened.arrays, vectors_LD.shape)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
    opened.forget()
    return Shard(vectors_LD, int8, opened.starts.get("bytes", 0))


def rows_of(path: str | Path) -> int:
    """How many labels a shard's file holds, from its header."""
    return shape_of(path, "vectors")[0]


def check_finite(vectors_LD: np.ndarray, start: int = 0) -> None:
    """ValueError naming the label of the first vector that is not finite; the first is `start`."""
    for vectors_RD in _cut([vectors_LD]):
        finite_R = np.isfinite(vectors_RD).all(axis=1)
        if not finite_R.all():
            raise ValueError(f"the vector of label {start + int(finite_R.argmin())} is not finite")
        start += len(vectors_RD)


def _cut(pieces: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    for piece in pieces:
        for start in range(0, len(piece), ROWS):
            yield piece[start : start + ROWS]
