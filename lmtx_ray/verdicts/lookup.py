"""Finding the verdicts on some documents: an index lookup in mapped arrays, then few row groups.

Memory does not grow with the store: of a layer the arrays of keys are mapped and shared by all
processes of a node, and a few row groups at a time are decoded. Parts not merged yet are few, and
small; they are held, and so is what this process asked lately.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.text_keys import prefix_of, prefixes
from lmtx_ray.io.spans import ranges
from lmtx_ray.verdicts.files import KEYS, local_file
from lmtx_ray.verdicts.store import WORDS, LayerFile, Partition, Snapshot

RECENT_ROWS = 500_000
GROUPS_AT_ONCE = 32  # row groups that are decoded together


class Lookup:
    """Verdicts of one judge, as of a snapshot and with what is added here. Several threads may ask
    and add."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._files = [_File(snapshot.uri, file) for layer in snapshot.layers for file in layer]
        partition = Partition(snapshot.uri)
        tables = [partition.read_part(name) for name in snapshot.parts]
        self._parts = _Held(pa.concat_tables(tables)) if tables else None
        self._recent: dict[bool, deque[_Held]] = {True: deque(), False: deque()}  # own, others'
        self._lock = threading.Lock()

    def add(self, verdicts: pa.Table, own: bool = True) -> None:
        """Have rows found that were appended after the snapshot, here or (not `own`) by others; of
        each the oldest are forgotten in time. They are in the store all the same."""
        recent = self._recent[own]
        with self._lock:
            recent.append(_Held(verdicts))
            while sum(held.rows for held in recent) > RECENT_ROWS:
                recent.popleft()

    def find(self, documents: Collection[bytes]) -> pa.Table:
        """All STORED_VERDICTS on documents of these keys: oldest layers first, then parts in the
        order of their names. A key of document and label may be there more than once."""
        wanted_N = np.unique(np.array([prefix_of(key) for key in documents], np.uint64))
        held = [self._parts] if self._parts else []
        with self._lock:
            recent = [one for some in self._recent.values() for one in some]
            sources: list[_File | _Held] = [*self._files, *held, *recent]
            tables = [table for source in sources for table in source.find(wanted_N)]
        if not tables:
            return schemas.STORED_VERDICTS.empty_table()
        return pa.concat_tables([table.cast(schemas.STORED_VERDICTS) for table in tables])


class _Held:
    """Verdicts in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()
        prefixes_N = prefixes(self._table["document"])
        self._order = np.argsort(prefixes_N, kind="stable")
        self._prefixes = prefixes_N[self._order]
        self.rows = table.num_rows

    def find(self, wanted_N: np.ndarray) -> Iterator[pa.Table]:
        hits = np.sort(self._order[_places(self._prefixes, wanted_N)])
        if len(hits):
            yield self._table.take(pa.array(hits))


class _File:
    """One sorted file of a layer."""

    def __init__(self, partition: str, file: LayerFile) -> None:
        self._partition, self._layer = partition, file
        self._span = [np.uint64(int(end[:16], 16)) for end in (file.first, file.last)]
        self._opened: tuple[np.ndarray, pq.ParquetFile, np.ndarray] | None = None

    def _open(self) -> tuple[np.ndarray, pq.ParquetFile, np.ndarray]:
        if self._opened is None:
            self._held = local_file(self._partition, self._layer.name)  # as long as it is mapped
            path = self._held.path
            keys = np.load(path.with_suffix(KEYS), mmap_mode="r", allow_pickle=False)
            file = pq.ParquetFile(path, memory_map=True, read_dictionary=WORDS)
            counts = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
            self._opened = keys, file, np.concatenate([[0], np.cumsum(counts)])
        return self._opened

    def find(self, wanted_N: np.ndarray) -> Iterator[pa.Table]:
        low, high = np.searchsorted(wanted_N, self._span, side="left")
        inside = wanted_N[low : high + 1]
        if len(inside) == 0:
            return
        keys, file, starts = self._open()
        rows_N = _places(keys, inside)
        groups_N = np.searchsorted(starts, rows_N, side="right") - 1
        groups = np.unique(groups_N)
        for first in range(0, len(groups), GROUPS_AT_ONCE):
            some = groups[first : first + GROUPS_AT_ONCE]
            here = (groups_N >= some[0]) & (groups_N <= some[-1])
            yield _rows_of(file, starts, some, rows_N[here])


def _places(sorted_N: np.ndarray, wanted_N: np.ndarray) -> np.ndarray:
    """Where the wanted values are in a sorted array, each as often as it is there."""
    begin = np.searchsorted(sorted_N, wanted_N, side="left")
    end = np.searchsorted(sorted_N, wanted_N, side="right")
    return ranges(begin, end - begin)


def _rows_of(
    file: pq.ParquetFile, starts: np.ndarray, groups: np.ndarray, rows_N: np.ndarray
) -> pa.Table:
    """Rows of a file, all of them in these row groups; both are sorted."""
    table = file.read_row_groups(groups.tolist(), use_threads=False)
    before = np.cumsum(np.diff(starts)[groups]) - np.diff(starts)[groups]
    at = np.searchsorted(starts[groups], rows_N, side="right") - 1
    return table.take(pa.array(rows_N - starts[groups[at]] + before[at]))
