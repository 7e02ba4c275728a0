"""The rows nearest to a query alone, by FAISS's products of 8-bit rows, mapped from their file.

oneDNN multiplies matrices; of one query it takes as long as of sixteen. FAISS goes through the
bytes row by row, which for the usual widths and few neighbours is faster than float32, as it reads
a quarter of that.
Its inverted lists are what it can search in a mapped file: here they are parts of the rows, all of
which are looked into, each by one thread.
Shapes: L rows, D dimensions, B queries, K found, P parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.int8_rows import SPREAD, Int8Rows

library: Any = faiss  # whose stubs lack much of what is called here
INNER = library.METRIC_INNER_PRODUCT
DIRECT = library.ScalarQuantizer.QT_8bit_direct_signed
TIMES, SPARE = 3, 16  # found for each that is asked for, and beyond: mostly all that are near
MOST_QUERIES, MOST_FOUND = 3, 200  # asked for at once: with more than these others are faster
WIDTH = 8  # values in one instruction: of other widths FAISS takes them one by one
PARTS = 16
PLACE = 32  # FAISS tells a row as its part and, in so many bits, its place there
BY_LIST = 1  # FAISS's way in which threads share a query's lists


def is_fast(dimensions: int) -> bool:
    """Whether FAISS has instructions here for vectors of so many dimensions."""
    plain = library.SIMDConfig.get_level() == library.SIMDLevel_NONE
    return dimensions % WIDTH == 0 and not plain


def is_scanned(queries: int, k: int) -> bool:
    """Whether a scan is the fastest way to find k for so many queries."""
    return queries <= MOST_QUERIES and k <= MOST_FOUND


class Int8Scan:
    """Searches the 8-bit rows of a file, from byte `begin` on."""

    def __init__(self, rows: Int8Rows, path: str | Path, begin: int) -> None:
        self._rows = rows
        self._part = -(-len(rows.bytes_LD) // PARTS)
        self._lists = self._mapped(str(path), begin)
        self._index = self._of_lists(rows.bytes_LD.shape[1])

    def search(self, queries_BD: np.ndarray, k: int) -> list[np.ndarray | None]:
        """Rows int64, ascending, that hold the k nearest of each query; None where too many rows
        are too close to tell (or the query is not finite)."""
        near: list[np.ndarray | None] = [None] * len(queries_BD)
        scaled_BD, off_B = self._rows.scaled(queries_BD)
        unsure = np.flatnonzero(np.isfinite(off_B))
        for found in (TIMES * k + SPARE, SPREAD * (k + SPARE)):
            if not len(unsure):
                break
            rows_BK, products_BK = self._nearest(scaled_BD[unsure], found)
            least_B = products_BK[:, k - 1] - 2 * off_B[unsure]
            told_B = products_BK[:, -1] < least_B
            for place in np.flatnonzero(told_B):
                rows = rows_BK[place, products_BK[place] >= least_B[place]]
                near[unsure[place]] = np.sort(rows)
            unsure = unsure[~told_B]
        return near

    def _nearest(self, scaled_BD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """rows_BK int64 and products_BK float32, best first."""
        rows_BK = np.empty((len(scaled_BD), k), np.int64)
        products_BK = np.empty(rows_BK.shape, np.float32)
        parts_BP = np.tile(np.arange(PARTS), (len(scaled_BD), 1))
        nothing_BP = np.zeros(parts_BP.shape, np.float32)  # a pointer keeps no array alive
        self._index.search_preassigned_c(
            len(scaled_BD),
            library.swig_ptr(scaled_BD),
            k,
            library.swig_ptr(parts_BP),
            library.swig_ptr(nothing_BP),
            library.swig_ptr(products_BK),
            library.swig_ptr(rows_BK),
            True,
            library.SearchParametersIVF(nprobe=PARTS),
        )
        part_BK, place_BK = np.divmod(rows_BK, 1 << PLACE)
        return part_BK * self._part + place_BK, products_BK

    def _of_lists(self, dimensions: int) -> Any:
        self._coarse = library.IndexFlatIP(dimensions)  # FAISS asks for one; it is not searched
        index = library.IndexIVFScalarQuantizer(
            self._coarse, dimensions, PARTS, DIRECT, INNER, False
        )
        index.replace_invlists(self._lists, False)
        index.is_trained, index.parallel_mode = True, BY_LIST
        index.ntotal = len(self._rows.bytes_LD)
        return index

    def _mapped(self, path: str, begin: int) -> Any:
        """The parts where they lie in the file."""
        rows, width = self._rows.bytes_LD.shape
        held = library.OnDiskInvertedLists(PARTS, width, path)
        held.lists.clear()
        for first in range(0, PARTS * self._part, self._part):
            one = library.OnDiskOneList()
            one.offset = begin + first * width
            one.size = one.capacity = max(min(self._part, rows - first), 0)
            held.lists.push_back(one)
        held.totsize = begin + rows * width
        held.read_only, held.prefetch_nthread = True, 0
        held.do_mmap()
        return held
