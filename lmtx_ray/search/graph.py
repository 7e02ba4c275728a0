"""Label vectors as a graph of neighbours (HNSW), and what its walk finds told apart by the vectors
themselves.

Shapes: L labels, D dimensions, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lmtx_ray.search.best_of import best_of
from lmtx_ray.search.index_choice import links_of
from lmtx_ray.search.tensor_file import open_tensors, write_tensors
from lmtx_ray.search.walk import Walk, graph_of

EF_CONSTRUCTION = 160
WIDE = 2  # rows found for each that is asked for: 8 bits order them almost as they are
LEAST_WIDTH, MOST_WIDTH = 256, 4096  # of a walk, in rows that are kept in mind


def build(vectors_LD: np.ndarray, factory: str, path: Path, more: Mapping[str, np.ndarray]) -> None:
    """Write the graph of a `factory` such as "HNSW32,SQ8", and `more` arrays."""
    arrays, _held = graph_of(vectors_LD, links_of(factory), EF_CONSTRUCTION)
    write_tensors(path, {**more, **arrays})


class Graph:
    """Walks the graph of a file that `build` wrote, over the vectors that it is of."""

    def __init__(self, path: Path, vectors_LD: np.ndarray) -> None:
        """Raises ValueError where the file holds something else than a graph of these rows; the
        message names it."""
        opened = open_tensors(path)
        try:
            self._walk = Walk(opened.arrays, *vectors_LD.shape)
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path}: no graph of {len(vectors_LD)} vectors ({error})"
            raise ValueError(message) from error
        opened.forget()
        self._vectors_LD = vectors_LD

    @property
    def most(self) -> int:
        """The greatest width that is worth it."""
        return min(MOST_WIDTH, len(self._vectors_LD) // 2)

    def search(self, queries_BD: np.ndarray, k: int, width: int) -> np.ndarray:
        """rows_BK int64: k near rows of each query, by a walk of so many rows in mind, in no order
        and padded with -1; the same for a query alone as among others."""
        rows_BW = self._walk.nearest(queries_BD, WIDE * k, max(width, LEAST_WIDTH))
        return best_of(queries_BD, self._vectors_LD, rows_BW, k)
