"""Label vectors as a graph of neighbours (HNSW): a query walks towards what is near to it.

FAISS builds the graph and walks it, over vectors in 8 bits a value. Of its index the arrays alone
are kept and used where they are mapped. What they say is checked: a link to a row that is not
there, or not on that level, would be followed into other memory.
Shapes: L labels, D dimensions, E links, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.best_of import best_of
from lmtx_ray.search.tensor_file import open_tensors, write_tensors

library: Any = faiss  # whose stubs lack much of what is called here

INNER = library.METRIC_INNER_PRODUCT
EF_CONSTRUCTION = 100
PIECE = 1 << 16  # rows added at a time
WIDE = 2  # rows found for each that is asked for: 8 bits order them almost as they are
NONE = -1  # no link
LEAST_WIDTH, MOST_WIDTH = 256, 4096  # of a walk, in rows that are kept in mind


def build(vectors_LD: np.ndarray, factory: str, path: Path, more: Mapping[str, np.ndarray]) -> None:
    """Write the graph of a `factory` such as "HNSW32,SQ8", and `more` arrays.

    On one thread the same vectors have the same graph; on several it depends on who comes first.
    """
    index = library.index_factory(vectors_LD.shape[1], factory, INNER)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.train(np.ascontiguousarray(vectors_LD))
    for start in range(0, len(vectors_LD), PIECE):
        index.add(np.ascontiguousarray(vectors_LD[start : start + PIECE]))
    graph, storage = index.hnsw, library.downcast_index(index.storage)
    links = library.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size())
    codes = library.rev_swig_ptr(storage.codes.data(), storage.codes.size())
    arrays = {
        **more,
        "codes": codes.reshape(vectors_LD.shape),
        "ranges": library.vector_to_array(storage.sq.trained),
        "levels": library.vector_to_array(graph.levels),
        "links": links,
        "links_of_level": _until(library.vector_to_array(graph.cum_nneighbor_per_level)),
        "entry": np.array([graph.entry_point], np.int32),
    }
    write_tensors(path, arrays)


def _until(ends: np.ndarray) -> np.ndarray:
    """How many links a row has on each level, int32 of cumulated numbers."""
    return np.diff(ends).astype(np.int32)


class Graph:
    """Walks the graph of a file that `build` wrote, over the vectors that it is of."""

    def __init__(self, path: Path, vectors_LD: np.ndarray) -> None:
        """Raises ValueError where the file holds something else than a graph of these rows; the
        message names it."""
        opened = open_tensors(path)
        try:
            _check(opened.arrays, *vectors_LD.shape)
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path}: no graph of {len(vectors_LD)} vectors ({error})"
            raise ValueError(message) from error
        opened.forget()
        self._vectors_LD, self._arrays = vectors_LD, opened.arrays
        self._index = _index_of(opened.arrays)

    @property
    def most(self) -> int:
        """The greatest width that is worth it."""
        return min(MOST_WIDTH, len(self._vectors_LD) // 2)

    def search(self, queries_BD: np.ndarray, k: int, width: int) -> np.ndarray:
        """rows_BK int64: k near rows of each query, by a walk of so many rows in mind, in no order
        and padded with -1; the same for a query alone as among others."""
        settings = library.SearchParametersHNSW(efSearch=max(width, WIDE * k, LEAST_WIDTH))
        rows_BW = self._index.search(queries_BD, WIDE * k, params=settings)[1]
        return best_of(queries_BD, self._vectors_LD, rows_BW, k)


def _index_of(arrays: Mapping[str, np.ndarray]) -> Any:
    rows, dimensions = arrays["codes"].shape
    base = int(arrays["links_of_level"][0])
    kind = library.ScalarQuantizer.QT_8bit
    index = library.IndexHNSWSQ(dimensions, kind, base // 2, INNER)
    storage, graph = library.downcast_index(index.storage), index.hnsw
    levels = arrays["levels"]
    library.copy_array_to_vector(np.array(arrays["ranges"]), storage.sq.trained)
    library.copy_array_to_vector(np.array(levels), graph.levels)
    offsets = _offsets(levels, arrays["links_of_level"]).astype(np.uint64)
    library.copy_array_to_vector(offsets, graph.offsets)
    _lend(arrays["codes"], storage.codes)
    _lend(arrays["links"], graph.neighbors)
    graph.entry_point, graph.max_level = int(arrays["entry"][0]), int(levels.max()) - 1
    index.ntotal = storage.ntotal = rows
    index.is_trained = storage.is_trained = True
    return index


def _lend(mapped: np.ndarray, vector: Any) -> None:
    """Let FAISS's vector be an array that stays ours. It is only read."""
    vector.is_owned = False
    vector.c_ptr = vector.view_data = library.swig_ptr(mapped)
    vector.c_size = vector.view_size = mapped.size


def _offsets(levels_L: np.ndarray, links_of_level: np.ndarray) -> np.ndarray:
    """Where each row's links begin, and where the last one's end: int64 [L + 1]."""
    ends = np.concatenate([[0], np.cumsum(links_of_level, dtype=np.int64)])
    return np.concatenate([[0], np.cumsum(ends[levels_L])])


def _check(arrays: Mapping[str, np.ndarray], rows: int, dimensions: int) -> None:
    """ValueError for arrays that are no graph of so many rows."""
    levels, links, of_level = (arrays[name] for name in ("levels", "links", "links_of_level"))
    if not (levels.size and of_level.size):
        raise ValueError("no levels")
    wanted = {
        "codes": ("|u1", (rows, dimensions)),
        "ranges": ("<f4", (2 * dimensions,)),
        "levels": ("<i4", (rows,)),
        "links": ("<i4", links.shape[:1]),
        "links_of_level": ("<i4", of_level.shape[:1]),
        "entry": ("<i4", (1,)),
    }
    found = {name: (arrays[name].dtype.str, arrays[name].shape) for name in wanted}
    if found != wanted:
        raise ValueError(f"arrays {found}, not {wanted}")
    if not np.isfinite(arrays["ranges"]).all():
        raise ValueError("values that are not finite")
    if levels.min() < 1 or levels.max() > len(of_level) or of_level.min() < 1:
        raise ValueError(f"rows on levels {levels.min()} to {levels.max()}")
    if of_level[0] % 2 or (of_level[1:] != of_level[0] // 2).any():
        raise ValueError(f"links {of_level.tolist()} on the levels")
    _check_links(levels, links, of_level, int(arrays["entry"][0]))


def _check_links(
    levels_L: np.ndarray, links_E: np.ndarray, of_level: np.ndarray, entry: int
) -> None:
    offsets = _offsets(levels_L, of_level)
    rows = len(levels_L)
    if offsets[-1] != len(links_E):
        raise ValueError(f"{len(links_E)} links, not {offsets[-1]}")
    if links_E.min() < NONE or links_E.max() >= rows:
        raise ValueError(f"links to rows {links_E.min()} to {links_E.max()}")
    if not 0 <= entry < rows or levels_L[entry] != levels_L.max():
        raise ValueError(f"an entry at row {entry}")
    first = int(of_level[0])
    for level in range(1, int(levels_L.max())):
        rows_R = np.flatnonzero(levels_L > level)
        begin = offsets[rows_R] + first + (level - 1) * (first // 2)
        linked = links_E[begin[:, None] + np.arange(first // 2)]
        if (levels_L[linked[linked != NONE]] <= level).any():
            raise ValueError(f"a link on level {level} to a row that is not there")
