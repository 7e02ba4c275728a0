"""The rows of a matrix that are nearest to a query among some of its rows, in float32.

Few rows are copied out; of many the whole matrix is multiplied where it lies, and what does not
count is put behind everything. Memory is that of a piece either way.
Shapes: L rows, R of them that count, D dimensions, B queries, K found, P rows of a piece.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

FEW = 4  # one row in so many, and fewer: to copy them costs less than to multiply all
MOST_PRODUCTS = 1 << 24  # at a time: 64 MiB
MOST_COPIED = 1 << 24  # numbers of copied rows at a time: 64 MiB


def are_few(rows: int, of: int) -> bool:
    """Whether so many rows are better copied out than looked for among all."""
    return rows * FEW <= of


def nearest_among(
    vectors_LD: np.ndarray, rows_R: np.ndarray, queries_BD: np.ndarray, k: int
) -> list[np.ndarray]:
    """For each query the up to k rows, int64, that have the greatest inner products among `rows_R`,
    which are ascending. The sums are rounded as float32 is."""
    queries, asked = torch.from_numpy(queries_BD), len(queries_BD)
    best_BK, places_BK = torch.empty(asked, 0), torch.empty(asked, 0, dtype=torch.int64)
    for products_BP, rows_P in _pieces(vectors_LD, rows_R, queries):
        found, places = products_BP.topk(min(k, len(rows_P)), dim=1)
        best_BK = torch.cat([best_BK, found], 1)
        places_BK = torch.cat([places_BK, rows_P[places]], 1)
        best_BK, order = best_BK.topk(min(k, best_BK.shape[1]), dim=1)
        places_BK = places_BK.gather(1, order)
    there = best_BK > -torch.inf
    return [rows[own].numpy() for rows, own in zip(places_BK, there, strict=True)]


def _pieces(
    vectors_LD: np.ndarray, rows_R: np.ndarray, queries_BD: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(products_BP, the rows they are of); -inf where a row does not count."""
    step = max(MOST_PRODUCTS // max(len(queries_BD), 1), 1)
    if are_few(len(rows_R), len(vectors_LD)):
        step = max(min(step, MOST_COPIED // vectors_LD.shape[1]), 1)
        for start in range(0, len(rows_R), step):
            own = rows_R[start : start + step]
            yield queries_BD @ torch.from_numpy(vectors_LD[own]).t(), torch.from_numpy(own)
        return
    without_L = np.ones(len(vectors_LD), bool)
    without_L[rows_R] = False
    for start in range(0, len(vectors_LD), step):
        span = slice(start, start + step)
        products_BP = queries_BD @ _tensor(vectors_LD[span]).t()
        products_BP.masked_fill_(torch.from_numpy(without_L[span]), -torch.inf)
        yield products_BP, torch.arange(start, start + products_BP.shape[1])


def _tensor(mapped: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():  # torch has no read-only tensors; this one is only read
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(mapped)
