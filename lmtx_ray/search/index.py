"""Nearest labels by inner product: exact FAISS search over shards of rows, or an approximate one
where a shard has an index for it (`approximate`); among some labels it is always exact.

The vectors are mapped from safetensors and searched where they lie: no index file has to be
trusted, and all processes of a machine hold them once. FAISS finds a few more than asked, of few
queries in 8 bits, or a GPU does, or matrix products of 8 bits on a CPU that has them; their scores
are then summed in float64 and rounded, as FAISS sums in another order for another number of queries
or rows. So a score's bits depend on its two vectors alone, and sharding, batching, the machine and
the service change no answer.
Shapes: L labels, D dimensions, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from lmtx_ray.search.approximate import Approximate, load_approximate
from lmtx_ray.search.candidates import PADDING, merge_top_k, top_k
from lmtx_ray.search.hardware import has_int8, search_device
from lmtx_ray.search.int8_rows import Int8Rows, is_worth
from lmtx_ray.search.int8_scan import Int8Scan, is_fast, is_scanned
from lmtx_ray.search.row_labels import load_row_labels, search_labels
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.shard_file import (
    check_finite,
    read_shard,
    rows_of,
    shard_files,
    shard_name,
    write_shard,
)
from lmtx_ray.search.singly import MOST_SINGLY, nearest, nearest_singly
from lmtx_ray.search.threads import in_threads
from lmtx_ray.search.ties import are_told, longest, nearest_exactly

SPARE = 16  # found beyond k, so that one pass nearly always tells which rows are nearest


class Finder(Protocol):
    """Finds candidates faster than float32 on a CPU does."""

    def search(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None = None
    ) -> list[np.ndarray | None]:
        """Rows that hold the k nearest of each query, of `rows_R` alone if given; None where it
        cannot tell."""


class IndexShard:
    """Rows `start` to `start + len` of the label vectors; what one replica of a service holds."""

    def __init__(
        self,
        vectors_LD: np.ndarray,
        start: int = 0,
        int8: Int8Rows | None = None,
        labels_L: np.ndarray | None = None,
        approximate: Approximate | None = None,
        device: str | None = None,
        scan: Int8Scan | None = None,
    ) -> None:
        """`int8` are the same vectors; where they are not given but of use, they are made. `scan`
        searches these for few queries.
        `labels_L`: the label of each row, see `row_labels`; the rows' own numbers if None.
        `approximate`: what searches among all rows; they are searched exactly if None.
        `device`: where torch multiplies; `search_device` if None."""
        self.start, self.labels_L, self.approximate = start, labels_L, approximate
        self.vectors_LD = np.ascontiguousarray(vectors_LD, dtype=np.float32)
        self._finder: Finder | None = None
        self._in_parts = False
        self._scan = scan
        if not is_worth(len(self), 1):
            return
        if device := device or search_device():
            from lmtx_ray.search.device_product import DeviceNearest

            self._finder, self._scan = DeviceNearest(self.vectors_LD, device), None
        elif has_int8():
            from lmtx_ray.search.int8_nearest import Int8Nearest

            self._finder = Int8Nearest(int8 or Int8Rows.of(self.vectors_LD))
            self._in_parts = True

    def __len__(self) -> int:
        return len(self.vectors_LD)

    def search(
        self, queries_BD: np.ndarray, k: int, selection: Selection | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """ids_BK int32 (of the whole index) and scores_BK float32, best first, padded with -1; of a
        `selection` of the whole index's labels those alone."""
        queries_BD = np.ascontiguousarray(queries_BD, dtype=np.float32)
        if self.labels_L is None:
            rows_BK, scores_BK = self._shared(queries_BD, k, self._allowed(selection))
            ids_BK = np.where(rows_BK < 0, PADDING, rows_BK + self.start)
            return ids_BK.astype(np.int32), scores_BK
        rows_R = None if selection is None else np.flatnonzero(selection.holds(self.labels_L))
        rows = partial(self._shared, rows_R=rows_R)
        most = len(self) if rows_R is None else len(rows_R)
        return search_labels(rows, self.labels_L, queries_BD, k, most)

    def _shared(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """rows_BK of this shard, of `rows_R` alone if given, and scores_BK."""

        def searched(span: slice) -> tuple[np.ndarray, np.ndarray]:
            near = self._near(queries_BD[span], k, rows_R)
            return self._scored(queries_BD[span], near, k)

        if self._in_parts or (self.approximate is not None and rows_R is None):
            parts = in_threads(searched, len(queries_BD))
        else:  # float32's and a device's products have all the threads already
            near = self._near(queries_BD, k, rows_R)
            parts = in_threads(
                lambda span: self._scored(queries_BD[span], near[span], k), len(queries_BD)
            )
        rows, scores = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(scores)

    def _scored(
        self, queries_BD: np.ndarray, near: list[np.ndarray], k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best of the rows near to each query, and their scores."""
        shape = len(near), max(map(len, near), default=0)
        rows_BK, scores_BK = np.full(shape, PADDING), np.zeros(shape, np.float32)
        for query_D, rows, rows_K, scores_K in zip(
            queries_BD.astype(np.float64), near, rows_BK, scores_BK, strict=True
        ):
            rows_K[: len(rows)] = np.where(rows < 0, PADDING, rows)
            scores_K[: len(rows)] = self.vectors_LD.take(rows, axis=0).astype(np.float64) @ query_D
        return top_k(rows_BK, scores_BK, k)

    def first_rows(self, most: int) -> np.ndarray:
        """Vectors float32 [at most `most`, D] of the first rows that lead to a label."""
        if self.labels_L is None:
            return self.vectors_LD[:most]
        return self.vectors_LD[np.flatnonzero(self.labels_L != PADDING)[:most]]

    def _allowed(self, selection: Selection | None) -> np.ndarray | None:
        """The rows here that a selection has, int64 and ascending; None for all."""
        end = self.start + len(self)
        if selection is None or selection.count_between(self.start, end) == len(self):
            return None
        return selection.rows_between(self.start, end)

    def _near(self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None) -> list[np.ndarray]:
        """For each query rows that hold its k nearest, of `rows_R` if they are not None."""
        count = len(self) if rows_R is None else len(rows_R)
        if not count:
            return [np.zeros(0, np.int64)] * len(queries_BD)
        near: list[np.ndarray | None] = [None] * len(queries_BD)
        if self.approximate is not None and rows_R is None:
            near = self.approximate.search(queries_BD, k)
        elif self._scan is not None and rows_R is None and is_scanned(len(queries_BD), k):
            near = self._scan.search(queries_BD, k)
        elif self._finder is not None and is_worth(count, k):
            near = self._finder.search(queries_BD, k, rows_R)
        unsure = [place for place, rows in enumerate(near) if rows is None]
        sure = {place: rows for place, rows in enumerate(near) if rows is not None}
        if unsure:
            sure |= zip(unsure, self._by_float32(queries_BD[unsure], k, rows_R), strict=True)
        return [sure[place] for place in range(len(near))]

    def _by_float32(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None
    ) -> list[np.ndarray]:
        """The same without a finder."""
        count = len(self) if rows_R is None else len(rows_R)
        rows_BK, scores_BK = self._in_float32(queries_BD, min(k + SPARE, count), rows_R)
        near = list(rows_BK)
        if count <= k + SPARE:
            return near
        close = np.flatnonzero(~are_told(scores_BK, k, queries_BD, self._longest))
        if len(close):
            exactly = nearest_exactly(self.vectors_LD, rows_R, queries_BD[close], k)
            for place, rows in zip(close, exactly, strict=True):
                near[place] = rows
        return near

    @cached_property
    def _longest(self) -> float:
        return longest(self.vectors_LD)

    def _in_float32(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """rows_BK int64 and scores_BK, best first."""
        if rows_R is not None:
            from lmtx_ray.search.among import are_few, nearest_among

            singly = len(queries_BD) <= MOST_SINGLY and not are_few(len(rows_R), len(self))
            among = nearest_singly if singly else nearest_among
            return among(self.vectors_LD, rows_R, queries_BD, k)
        return nearest(self.vectors_LD, queries_BD, k)


class LabelIndex:
    """Label vectors in shards; row number = label id, if `row_labels` says nothing else."""

    def __init__(self, shards: Sequence[IndexShard]) -> None:
        self.shards = shards

    @classmethod
    def build(cls, vectors_LD: np.ndarray, shards: int = 1) -> LabelIndex:
        """Split rows evenly into at most L shards.

        Raises:
            ValueError: No rows, or a vector that is not finite.
        """
        if len(vectors_LD) == 0:
            raise ValueError("a label index needs at least one label")
        check_finite(vectors_LD)
        parts = np.array_split(vectors_LD, min(shards, len(vectors_LD)))
        starts = np.cumsum([0, *map(len, parts)]).tolist()
        return cls([IndexShard(*part) for part in zip(parts, starts, strict=False)])

    def search(
        self, queries_BD: np.ndarray, k: int, selection: Selection | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """ids_BK int32 and scores_BK float32, best first; padded with -1 beyond L labels, or beyond
        those of a `selection`."""
        found = [shard.search(queries_BD, k, selection) for shard in self.shards]
        return found[0] if len(found) == 1 else merge_top_k(found, k)

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def save(self, folder: str | Path) -> None:
        """One safetensors file a shard."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(self.shards):
            file = Path(folder) / shard_name(number)
            write_shard(file, [shard.vectors_LD], shard.vectors_LD.shape, shard.start)

    @classmethod
    def load(cls, folder: str | Path) -> LabelIndex:
        """Raises FileNotFoundError when the folder holds no shard."""
        return cls([load_shard(folder, number) for number in range(len(shard_files(folder)))])


def load_shard(folder: str | Path, number: int, start: int | None = None) -> IndexShard:
    """One shard alone. Where `start`, the rows before it, is not given, it is counted from the
    headers of the other files, which need not be there otherwise.

    Raises:
        FileNotFoundError: The folder holds no such shard.
        ValueError: See `read_shard`.
    """
    if start is None:
        rows = shard_rows(folder)
        if number >= len(rows):
            raise FileNotFoundError(f"{folder}: no index shard {number}, there are {len(rows)}")
        start = sum(rows[:number])
    path = Path(folder) / shard_name(number)
    shard = read_shard(path, start)
    labels_R, end = load_row_labels(folder), start + len(shard.vectors_LD)
    if labels_R is not None and end > len(labels_R):
        raise ValueError(f"{folder}: labels of {len(labels_R)} rows, and rows up to {end}")
    labels_L = None if labels_R is None else labels_R[start:end]
    approximate = load_approximate(Path(folder), number, shard.vectors_LD)
    scan = None
    if shard.int8 is not None and is_fast(shard.vectors_LD.shape[1]):
        scan = Int8Scan(shard.int8, path, shard.bytes_at)
    return IndexShard(shard.vectors_LD, start, shard.int8, labels_L, approximate, scan=scan)


def shard_rows(folder: str | Path) -> list[int]:
    """The rows of each shard of a saved index, from the files' headers."""
    return [rows_of(file) for file in shard_files(folder)]
