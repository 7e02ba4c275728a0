"""Centres of many lists, and the list of each vector: k-means that compares few with few.

With lists of a fixed length, products of all vectors with all centres grow with the square of the
vectors. So centres lie in cells, and a vector is compared with those in the cells near to it.
Shapes: N vectors, D dimensions, C centres, K cells, P vectors of a piece, E cells near to each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lmtx_ray.search.best_of import products_of
from lmtx_ray.search.clustering import unit_means
from lmtx_ray.search.singly import nearest, product_with
from lmtx_ray.search.threads import in_threads

ROUNDS = 6  # of k-means: more find the same neighbours
SAMPLE = 256  # vectors for each mean that k-means sees
LOOKED = 6  # cells in which a vector's centre is looked for
ACROSS = 4  # SOAR's lambda: how much more it counts what both centres lack the same way
PIECE = 1 << 14  # vectors at a time, of each thread
LEAST = 1e-12  # of a length


def centres(vectors_ND: np.ndarray, number: int) -> np.ndarray:
    """Unit centres, float32 [number, D]: means of each cell's own vectors."""
    cells = _cells_of(number)
    cell_N = nearest(_means(vectors_ND, cells), vectors_ND, 1)[0][:, 0]
    order_N, ends_K = _by(cell_N, cells)
    shares_K = np.diff(ends_K * number // len(vectors_ND), prepend=0)
    own = np.split(order_N, ends_K[:-1])

    def means(span: slice) -> list[np.ndarray]:
        pairs = zip(own[span], shares_K[span].tolist(), strict=True)
        return [_means(vectors_ND[own_M], share) for own_M, share in pairs if share]

    return np.concatenate([mean for part in in_threads(means, cells) for mean in part])


class Cells:
    """Centres, by the cell in which each lies."""

    def __init__(self, centres_CD: np.ndarray) -> None:
        cells = _cells_of(len(centres_CD))
        self._centres_CD = centres_CD
        cells_KD = _means(centres_CD, cells)
        order_C, ends_K = _by(nearest(cells_KD, centres_CD, 1)[0][:, 0], cells)
        filled_K = np.diff(ends_K, prepend=0) > 0
        self._cells_KD = np.ascontiguousarray(cells_KD[filled_K])
        self._numbers = [own for own in np.split(order_C, ends_K[:-1]) if len(own)]
        self._centres = [product_with(centres_CD[own]) for own in self._numbers]

    def nearest_two(self, vectors_ND: np.ndarray) -> np.ndarray:
        """int64 [N, 2]: beside the nearest one a second, which is near where the first is not: what
        a vector lacks of both points different ways, so that a query which is far from one is not
        for the same reason far from the other (SOAR, Sun et al., NeurIPS 2023). -1 for no other."""

        def two(span: slice) -> list[np.ndarray]:
            return [self._two(piece_PD) for piece_PD in _pieces(vectors_ND[span])]

        parts = in_threads(two, len(vectors_ND))
        return np.concatenate([piece_P2 for part in parts for piece_P2 in part])

    def _two(self, vectors_PD: np.ndarray) -> np.ndarray:
        found_PE, products_PE = self._best_of_cells(vectors_PD)
        best_P = products_PE.argmax(axis=1)
        first_P = _at(found_PE, best_P)
        between_PE = products_of(self._centres_CD[first_P], self._centres_CD, found_PE)
        squares_P1 = np.einsum("pd,pd->p", vectors_PD, vectors_PD)[:, None]
        product_P1 = np.take_along_axis(products_PE, best_P[:, None], axis=1)
        # squares and products of v - c for unit c, by those of v and c
        first_P1 = squares_P1 + 1 - 2 * product_P1
        both_PE = squares_P1 - product_P1 - products_PE + between_PE
        lost_PE = squares_P1 + 1 - 2 * products_PE
        lost_PE += ACROSS * both_PE**2 / first_P1.clip(LEAST)
        lost_PE[found_PE == first_P[:, None]] = np.inf
        second_P = _at(found_PE, lost_PE.argmin(axis=1))
        second_P[~np.isfinite(lost_PE.min(axis=1))] = -1
        return np.stack([first_P, second_P], axis=1)

    def _best_of_cells(self, vectors_PD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best centre of each of the cells nearest to a vector, int64 [P, E], and its product,
        float32 [P, E]."""
        looked = min(LOOKED, len(self._numbers))
        cells_PE = nearest(self._cells_KD, vectors_PD, looked)[0]
        order, ends_K = _by(cells_PE.ravel(), len(self._numbers))
        best, found = np.empty(len(order), np.float32), np.empty(len(order), np.int64)
        asked = np.split(order, ends_K[:-1])
        for places_M, product, own in zip(asked, self._centres, self._numbers, strict=True):
            if len(places_M):
                products_MC = product.apply(vectors_PD[places_M // looked])
                place_M = products_MC.argmax(axis=1)
                best[places_M] = _at(products_MC, place_M)
                found[places_M] = own[place_M]
        return found.reshape(-1, looked), best.reshape(-1, looked)


def _pieces(vectors_ND: np.ndarray) -> Iterator[np.ndarray]:
    starts = range(0, len(vectors_ND), PIECE)
    return (np.ascontiguousarray(vectors_ND[start : start + PIECE]) for start in starts)


def _at(values_NM: np.ndarray, place_N: np.ndarray) -> np.ndarray:
    """The value at one place of each row: [N]."""
    return np.take_along_axis(values_NM, place_N[:, None], axis=1)[:, 0]


def _cells_of(centres: int) -> int:
    """As many cells as each has centres, about."""
    return 1 << round(math.log2(centres) / 2)


def _by(cell_N: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Places int64 [N] in the order of their cells, and where each cell's end, int64 [K]."""
    order_N = np.argsort(cell_N.astype(np.uint16), kind="stable")  # numpy counts 16-bit keys
    return order_N, np.cumsum(np.bincount(cell_N, minlength=cells))


def _means(vectors_ND: np.ndarray, number: int) -> np.ndarray:
    return unit_means(vectors_ND, number, ROUNDS, SAMPLE)
