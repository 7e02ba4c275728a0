"""Centres of many lists, and the list of each vector: k-means that compares few with few.

With lists of a fixed length, products of all vectors with all centres grow with the square of the
vectors. So centres lie in cells, and a vector is compared with those in the cells near to it.
Shapes: N vectors, D dimensions, C centres, K cells, P vectors of a piece, E cells near to each.
"""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.clustering import unit_means

library: Any = faiss  # whose stubs lack much of what is called here

ROUNDS = 6  # of k-means: more find the same neighbours
SAMPLE = 256  # vectors for each mean that k-means sees
LOOKED = 8  # cells in which a vector's centre is looked for
PIECE = 1 << 16  # vectors at a time
LEAST = 1e-12  # of a length


def centres(vectors_ND: np.ndarray, number: int) -> np.ndarray:
    """Unit centres, float32 [number, D]: means of each cell's own vectors, and then of those that
    are nearest to each."""
    cells = _cells_of(number)
    cell_N = product_with(_means(vectors_ND, cells)).apply(vectors_ND).argmax(axis=1)
    order_N, ends_K = _by(cell_N, cells)
    shares_K = np.diff(ends_K * number // len(vectors_ND), prepend=0)
    pairs = zip(np.split(order_N, ends_K[:-1]), shares_K.tolist(), strict=True)
    means = [_means(vectors_ND[own_M], share) for own_M, share in pairs if share]
    return _moved(np.concatenate(means), vectors_ND)


def _moved(centres_CD: np.ndarray, vectors_ND: np.ndarray) -> np.ndarray:
    """Each to the mean of the vectors that are nearest to it, if there are any."""
    nearest_N, sums_CD = Cells(centres_CD).nearest(vectors_ND), np.zeros_like(centres_CD)
    for start in range(0, len(vectors_ND), PIECE):
        span = slice(start, start + PIECE)
        order_P = np.argsort(nearest_N[span], kind="stable")
        own_C, starts_C = np.unique(nearest_N[span][order_P], return_index=True)
        sums_CD[own_C] += np.add.reduceat(vectors_ND[span][order_P], starts_C, axis=0)
    lengths_C1 = np.linalg.norm(sums_CD, axis=1, keepdims=True)
    return np.where(lengths_C1 > LEAST, sums_CD / lengths_C1.clip(LEAST), centres_CD)


class Cells:
    """Centres, by the cell in which each lies."""

    def __init__(self, centres_CD: np.ndarray) -> None:
        cells = _cells_of(len(centres_CD))
        self._cells = product_with(_means(centres_CD, cells))
        order_C, ends_K = _by(self._cells.apply(centres_CD).argmax(axis=1), cells)
        self._numbers = np.split(order_C, ends_K[:-1])
        self._centres = [product_with(centres_CD[own]) for own in self._numbers]

    def nearest(self, vectors_ND: np.ndarray) -> np.ndarray:
        """int64 [N]: the centre nearest to each vector, of those in the cells nearest to it."""
        starts = range(0, len(vectors_ND), PIECE)
        pieces = (np.ascontiguousarray(vectors_ND[start : start + PIECE]) for start in starts)
        return np.concatenate([self._nearest(piece_PD) for piece_PD in pieces])

    def _nearest(self, vectors_PD: np.ndarray) -> np.ndarray:
        looked = min(LOOKED, len(self._numbers))
        products_PK = self._cells.apply(vectors_PD)
        cells_PE = np.argpartition(-products_PK, looked - 1, axis=1)[:, :looked]
        order, ends_K = _by(cells_PE.ravel(), len(self._numbers))
        best, found = np.full(len(order), -np.inf, np.float32), np.zeros(len(order), np.int64)
        asked = np.split(order, ends_K[:-1])
        for places_M, product, own in zip(asked, self._centres, self._numbers, strict=True):
            if len(places_M) and len(own):
                products_MC = product.apply(vectors_PD[places_M // looked])
                place_M = products_MC.argmax(axis=1)
                best[places_M] = np.take_along_axis(products_MC, place_M[:, None], axis=1)[:, 0]
                found[places_M] = own[place_M]
        place_P = best.reshape(-1, looked).argmax(axis=1)[:, None]
        return np.take_along_axis(found.reshape(-1, looked), place_P, axis=1)[:, 0]


def product_with(rows_RD: np.ndarray) -> Any:
    """FAISS's product of vectors [N, D] with these, `apply`. numpy has threads of its own, which
    wait for work without rest, and would take the processor from those of FAISS."""
    product = library.LinearTransform(rows_RD.shape[1], len(rows_RD), False)
    library.copy_array_to_vector(np.ascontiguousarray(rows_RD).ravel(), product.A)
    product.is_trained = True
    return product


def _cells_of(centres: int) -> int:
    """As many cells as each has centres, about."""
    return 1 << round(math.log2(centres) / 2)


def _by(cell_N: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Places int64 [N] in the order of their cells, and where each cell's end, int64 [K]."""
    order_N = np.argsort(cell_N.astype(np.uint16), kind="stable")  # numpy counts 16-bit keys
    return order_N, np.cumsum(np.bincount(cell_N, minlength=cells))


def _means(vectors_ND: np.ndarray, number: int) -> np.ndarray:
    return unit_means(vectors_ND, number, ROUNDS, SAMPLE)
