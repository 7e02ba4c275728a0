"""Nearest labels by inner product: exact FAISS search over shards of rows.

The vectors are kept in safetensors and the FAISS structures rebuilt on load: a flat index holds
nothing more, and no index file has to be trusted. FAISS finds a few more than asked, or on a CPU
with 8-bit products these do; their scores are then summed in float64 and rounded, as FAISS sums in
another order for another number of queries or rows. So a score's bits depend on its two vectors
alone, and sharding, batching, the machine and the service change no answer.
Shapes: L labels, D dimensions, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lmtx_ray.search.candidates import PADDING, merge_top_k, top_k
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.search.int8_nearest import Int8Nearest, is_worth

SPARE = 16  # found beyond k, so that rounding at the edge loses none
MOST_SINGLY = 5  # queries that are faster one by one than as a matrix product


class IndexShard:
    """Rows `start` to `start + len` of the label vectors; what one replica of a service holds."""

    def __init__(self, vectors_LD: np.ndarray, start: int = 0) -> None:
        self.start = start
        self.vectors_LD = np.ascontiguousarray(vectors_LD, dtype=np.float32)
        self._index = faiss.IndexFlatIP(self.vectors_LD.shape[1])
        self._index.add(self.vectors_LD)
        # FAISS compares queries times dimensions with this, not queries
        faiss.cvar.distance_compute_blas_threshold = MOST_SINGLY * self._index.d + 1
        in_int8 = has_int8() and is_worth(len(self), 1)
        self._int8 = Int8Nearest(self.vectors_LD) if in_int8 else None

    def __len__(self) -> int:
        return len(self.vectors_LD)

    def search(self, queries_BD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """ids_BK int32 (of the whole index) and scores_BK float32, best first, padded with -1."""
        queries_BD = np.ascontiguousarray(queries_BD, dtype=np.float32)
        near = self._near(queries_BD, k)
        shape = len(near), max(map(len, near), default=0)
        ids_BK, scores_BK = np.full(shape, PADDING), np.zeros(shape, np.float32)
        for place, (query_D, rows) in enumerate(zip(queries_BD, near, strict=True)):
            ids_BK[place, : len(rows)] = np.where(rows < 0, PADDING, rows + self.start)
            scores_BK[place, : len(rows)] = self._score(query_D, rows)
        return top_k(ids_BK, scores_BK, k)

    def _near(self, queries_BD: np.ndarray, k: int) -> list[np.ndarray]:
        """For each query rows that hold its k nearest."""
        near: list[np.ndarray | None] = [None] * len(queries_BD)
        if self._int8 is not None and is_worth(len(self), k):
            near = self._int8.search(queries_BD, k)
        unsure = [place for place, rows in enumerate(near) if rows is None]
        if unsure:
            _, rows_BK = self._index.search(queries_BD[unsure], min(k + SPARE, len(self)))
            for place, rows in zip(unsure, rows_BK, strict=True):
                near[place] = rows
        return near

    def _score(self, query_D: np.ndarray, rows_K: np.ndarray) -> np.ndarray:
        products = self.vectors_LD[rows_K].astype(np.float64) @ query_D.astype(np.float64)
        return products.astype(np.float32)


class LabelIndex:
    """Label vectors in shards; row number = label id."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        starts = np.cumsum([0, *(len(vectors) for vectors in shards)]).tolist()
        self.shards = [
            IndexShard(vectors, start) for vectors, start in zip(shards, starts, strict=False)
        ]

    @classmethod
    def build(cls, vectors_LD: np.ndarray, shards: int = 1) -> LabelIndex:
        """Split rows evenly into at most L shards.

        Raises:
            ValueError: No rows, or a vector that is not finite.
        """
        if len(vectors_LD) == 0:
            raise ValueError("a label index needs at least one label")
        if not np.isfinite(vectors_LD).all():
            row = int(np.flatnonzero(~np.isfinite(vectors_LD).all(axis=1))[0])
            raise ValueError(f"the vector of label {row} is not finite")
        return cls(np.array_split(vectors_LD, min(shards, len(vectors_LD))))

    def search(self, queries_BD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """ids_BK int32 and scores_BK float32, best first; padded with -1 beyond L labels."""
        return merge_top_k([shard.search(queries_BD, k) for shard in self.shards], k)

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def save(self, folder: str | Path) -> None:
        """One safetensors file a shard."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(self.shards):
            save_file({"vectors": shard.vectors_LD}, _shard_file(folder, number))

    @classmethod
    def load(cls, folder: str | Path) -> LabelIndex:
        """Raises FileNotFoundError when the folder holds no shard."""
        return cls([load_file(file)["vectors"] for file in shard_files(folder)])


def load_shard(folder: str | Path, number: int, start: int | None = None) -> IndexShard:
    """One shard alone. Where `start`, the rows before it, is not given, it is counted from the
    headers of the other files, which need not be there otherwise.

    Raises:
        FileNotFoundError: The folder holds no such shard.
    """
    if start is None:
        rows = shard_rows(folder)
        if number >= len(rows):
            raise FileNotFoundError(f"{folder}: no index shard {number}, there are {len(rows)}")
        start = sum(rows[:number])
    return IndexShard(load_file(_shard_file(folder, number))["vectors"], start)


def shard_rows(folder: str | Path) -> list[int]:
    """The rows of each shard of a saved index, from the files' headers."""
    return [_rows(file) for file in shard_files(folder)]


def use_threads(number: int) -> None:
    """Of FAISS, for searches by the calling thread; OpenMP keeps this for each thread."""
    faiss.omp_set_num_threads(number)


def shard_files(folder: str | Path) -> list[Path]:
    """A saved index's files, in the order of their rows; FileNotFoundError without any."""
    files = sorted(Path(folder).glob("shard-*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no index shards")
    return files


def _shard_file(folder: str | Path, number: int) -> Path:
    return Path(folder) / f"shard-{number:05d}.safetensors"


def _rows(file: Path) -> int:
    with safe_open(file, framework="numpy") as opened:
        return int(opened.get_slice("vectors").get_shape()[0])
