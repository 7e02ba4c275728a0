"""The rows of a matrix that are nearest to a query among some of its rows, in float32.

It goes piece by piece, small enough for a processor's cache. Where few rows of a matrix count, they
are copied out; where many do, the whole is multiplied where it lies, and what does not count is put
behind everything. Of a piece only what is better than the worst that was kept is looked at again.
Shapes: L rows, R of them that count, D dimensions, B queries, K kept, P rows of a piece, N found.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

FEW = 4  # one row in so many, and fewer: to copy them costs less than to multiply all
PIECE = 1 << 13  # rows


@dataclass(frozen=True)
class Among:
    """Which rows count: the few that do, or a mask of those that do not, or all. `columns` is how
    many products a query has."""

    columns: int
    few: torch.Tensor | None = None
    without_L: torch.Tensor | None = None

    @classmethod
    def of(cls, rows_R: np.ndarray | None, rows: int, device: torch.device | None = None) -> Among:
        """Those of `rows_R`, ascending, of so many; all if None."""
        if rows_R is None:
            return cls(rows)
        there_R = torch.from_numpy(rows_R).to(device)
        if are_few(len(rows_R), rows):
            return cls(len(rows_R), few=there_R)
        without_L = torch.ones(rows, dtype=torch.bool, device=device)
        without_L[there_R] = False
        return cls(rows, without_L=without_L)


def are_few(rows: int, of: int) -> bool:
    """Whether so many rows are better copied out than looked for among all."""
    return rows * FEW <= of


def nearest_among(
    vectors_LD: np.ndarray, rows_R: np.ndarray, queries_BD: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """rows_BK int64 and scores_BK, best first: the k rows, at most R, that have the greatest inner
    products with each query among `rows_R`, which are ascending. Sums are rounded as float32 is."""
    queries, asked = torch.from_numpy(queries_BD), len(queries_BD)
    best_BK, rows_BK = torch.empty(asked, 0), torch.empty(asked, 0, dtype=torch.int64)
    for products_BP, rows_P in _pieces(vectors_LD, rows_R, queries):
        found_BN, places_BN = _better(products_BP, best_BK, k)
        best_BK = torch.cat([best_BK, found_BN], 1)
        rows_BK = torch.cat([rows_BK, rows_P[places_BN]], 1)
        if best_BK.shape[1] > k:
            best_BK, order = best_BK.topk(k, dim=1)
            rows_BK = rows_BK.gather(1, order)
    best_BK, order = best_BK.sort(dim=1, descending=True)
    return rows_BK.gather(1, order).numpy(), best_BK.numpy()


def _better(
    products_BP: torch.Tensor, best_BK: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(products, places) of a piece that may be among the k best, [B, N], padded with -inf."""
    if best_BK.shape[1] < k:
        return products_BP.topk(min(k, products_BP.shape[1]), dim=1)
    rows_N, places_N = (products_BP > best_BK.amin(1, keepdim=True)).nonzero(as_tuple=True)
    counts_B = torch.bincount(rows_N, minlength=len(products_BP))
    column_N = torch.arange(len(rows_N)) - (counts_B.cumsum(0) - counts_B)[rows_N]
    shape = len(products_BP), int(counts_B.max())
    found_BN, places_BN = torch.full(shape, -torch.inf), torch.zeros(shape, dtype=torch.int64)
    found_BN[rows_N, column_N] = products_BP[rows_N, places_N]
    places_BN[rows_N, column_N] = places_N
    return found_BN, places_BN


def _pieces(
    vectors_LD: np.ndarray, rows_R: np.ndarray, queries_BD: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(products_BP, the rows they are of); -inf where a row does not count."""
    among = Among.of(rows_R, len(vectors_LD))
    for start in range(0, among.columns, PIECE):
        span = slice(start, start + PIECE)
        if among.few is not None:
            own = among.few[span]
            yield queries_BD @ torch.from_numpy(vectors_LD[own.numpy()]).t(), own
            continue
        products_BP = queries_BD @ _tensor(vectors_LD[span]).t()
        if among.without_L is not None:
            products_BP.masked_fill_(among.without_L[span], -torch.inf)
        yield products_BP, torch.arange(start, start + products_BP.shape[1])


def _tensor(mapped: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():  # torch has no read-only tensors; this one is only read
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(mapped)
