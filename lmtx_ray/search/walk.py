"""A graph of neighbours (HNSW) over vectors of one length: a query walks to what is near to it.

FAISS builds the graph and walks it, over vectors in 8 bits a value, whose distances it sums
exactly. Of its index the arrays alone are kept and used where they are mapped. What they say is
checked: a link to a row that is not there, or not on that level, would be followed into other
memory.
Shapes: N vectors, D dimensions, E links, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.int8_rows import MIDDLE, MOST
from lmtx_ray.search.singly import product_with

library: Any = faiss  # whose stubs lack much of what is called here

PIECE = 1 << 16  # vectors added at a time
NONE = -1  # no link
SEEN, CLIPPED = 4096, 1e-4  # vectors of which the scale is told, and the share of values beyond it
LEAST = 1e-12  # of a length
EXACTLY = 24  # bits of a whole number that float32 holds
MOST_LINKS = 1 << 10  # of a row


def graph_of(
    vectors_ND: np.ndarray, links: int, ef_construction: int
) -> tuple[dict[str, np.ndarray], Any]:
    """A graph that links each vector with so many, and with twice as many on the lowest level; the
    same for the same vectors, whatever the threads. Its arrays, and what has to last as long as
    they do."""
    values = np.nan_to_num(np.abs(_unit(vectors_ND[:: -(-len(vectors_ND) // SEEN)])))
    scale = np.array([MOST / max(np.quantile(values, 1 - CLIPPED), LEAST)], np.float32)
    index = _index(vectors_ND.shape[1], links)
    index.hnsw.efConstruction = ef_construction
    for start in range(0, len(vectors_ND), PIECE):
        index.add(_bytes_of(vectors_ND[start : start + PIECE], scale))
    graph, codes = index.hnsw, library.downcast_index(index.storage).codes
    arrays = {
        "codes": library.rev_swig_ptr(codes.data(), codes.size()).reshape(vectors_ND.shape),
        "scale": scale,
        "levels": library.vector_to_array(graph.levels),
        "links": library.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size()),
        "links_of_level": _links_of_level(index),
        "entry": np.array([graph.entry_point], np.int32),
    }
    return arrays, index


class Walk:
    """Walks a graph that `graph_of` made."""

    def __init__(self, arrays: Mapping[str, np.ndarray], rows: int, dimensions: int) -> None:
        """Raises ValueError, KeyError or TypeError for arrays that are no graph of so many rows.
        They have to last as long as this does."""
        _check(arrays, rows, dimensions)
        self._arrays = arrays
        self._index = _index_of(arrays)

    def nearest(self, queries_BD: np.ndarray, k: int, width: int) -> np.ndarray:
        """rows_BK int64, nearest first and padded with -1, by a walk that keeps `width` rows in
        mind; the same for a query alone as among others."""
        settings = library.SearchParametersHNSW(efSearch=max(width, k))
        rows_BK: np.ndarray = self._index.search(self._bytes_of(queries_BD), k, params=settings)[1]
        return rows_BK

    def nearest_of_all(self, queries_BD: np.ndarray, k: int) -> np.ndarray:
        """rows_BK int64, in no order, by products with all: for many of few. The same for a query
        alone as among others, as these are whole numbers that float32 holds."""
        rows, dimensions = self._arrays["codes"].shape
        if k >= rows:
            return np.tile(np.arange(rows), (len(queries_BD), 1))
        most = min(MOST, (1 << EXACTLY) // (MOST * dimensions))
        whole_BD = np.rint((self._bytes_of(queries_BD) - MIDDLE) * np.float32(most / MOST))
        products_BN = self._product.apply(whole_BD)
        return np.argpartition(products_BN, rows - k, axis=1)[:, rows - k :].copy()

    @cached_property
    def _product(self) -> Any:
        return product_with(self._arrays["codes"].astype(np.float32) - MIDDLE)

    def _bytes_of(self, queries_BD: np.ndarray) -> np.ndarray:
        return _bytes_of(queries_BD, self._arrays["scale"])


def _bytes_of(vectors_ND: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Whole values from 1 to 255, as float32: FAISS takes them as they are. Of vectors of one
    length; what has none is far from all."""
    scaled_ND = np.rint(_unit(vectors_ND) * scale)
    # of a value that is no number these take the bound
    bytes_ND: np.ndarray = np.fmin(np.fmax(scaled_ND, -MOST), MOST) + np.float32(MIDDLE)
    return bytes_ND


def _unit(vectors_ND: np.ndarray) -> np.ndarray:
    """Vectors of length 1, also of very long ones and very short ones; nan for those of none."""
    with np.errstate(all="ignore"):
        scaled_ND = vectors_ND / np.abs(vectors_ND).max(axis=1, keepdims=True)
        unit_ND: np.ndarray = scaled_ND / np.linalg.norm(scaled_ND, axis=1, keepdims=True)
    return unit_ND


def _index(dimensions: int, links: int) -> Any:
    # differences do not mind where 0 is, products do; and of vectors of one length the nearest are
    # those of the greatest product
    return library.IndexHNSWSQ(
        dimensions, library.ScalarQuantizer.QT_8bit_direct, links, library.METRIC_L2
    )


def _links_of_level(index: Any) -> np.ndarray:
    """How many links a row has on each level, int32."""
    return np.diff(library.vector_to_array(index.hnsw.cum_nneighbor_per_level)).astype(np.int32)


def _index_of(arrays: Mapping[str, np.ndarray]) -> Any:
    rows, dimensions = arrays["codes"].shape
    index = _index(dimensions, int(arrays["links_of_level"][0]) // 2)
    storage, graph = library.downcast_index(index.storage), index.hnsw
    levels = arrays["levels"]
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
        "scale": ("<f4", (1,)),
        "levels": ("<i4", (rows,)),
        "links": ("<i4", links.shape[:1]),
        "links_of_level": ("<i4", of_level.shape[:1]),
        "entry": ("<i4", (1,)),
    }
    found = {name: (arrays[name].dtype.str, arrays[name].shape) for name in wanted}
    if found != wanted:
        raise ValueError(f"arrays {found}, not {wanted}")
    if not 0 < arrays["scale"][0] < np.inf:
        raise ValueError(f"a scale of {arrays['scale'][0]}")
    if levels.min() < 1 or levels.max() > len(of_level) or of_level.min() < 1:
        raise ValueError(f"rows on levels {levels.min()} to {levels.max()}")
    links_of_row = int(of_level[0]) // 2
    if not 0 < links_of_row <= MOST_LINKS or not np.array_equal(
        of_level, _links_of_level(_index(dimensions, links_of_row))
    ):
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
