"""The rows that may be among a query's nearest, found by inner products in 8-bit integers.

A product of rounded vectors is off by at most
    |q'| |l - l'| + |q - q'| |l|        (Cauchy-Schwarz; q', l' are q, l as rounded)
from the exact one. So the k nearest rows are among those whose product is no more than twice that
below the k-th best product: two or three times k, which the caller scores exactly. This reads a
quarter of the memory that float32 takes, and multiplies faster.

Shapes: L rows, D dimensions, B queries.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from lmtx_ray.search.among import are_few
from lmtx_ray.search.int8_product import rows_by_few, whole
from lmtx_ray.search.int8_rows import LEAST, MIDDLE, SPREAD, Int8Rows

SLACK = 1e-5  # of |q| |l|: more than the roundings of float32
MOST_PRODUCTS = 1 << 24  # at a time: 64 MiB
PRODUCTS = 1 << 20  # at a time before they are put in order
QUERIES = 16  # their number is rounded up to a multiple, so that few shapes are compiled


class Int8Nearest:
    """Searches rows where they lie, mapped or not; nothing is copied."""

    def __init__(self, rows: Int8Rows) -> None:
        with warnings.catch_warnings():  # torch has no read-only tensors; these are only read
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self._bytes_LD = torch.from_numpy(rows.bytes_LD)
            self._scales_L = torch.from_numpy(rows.scales_L)
        self._error, self._longest = rows.bounds_2.tolist()

    def search(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None = None
    ) -> list[np.ndarray | None]:
        """Rows int64, ascending, that hold the k nearest of each query; None where too many rows
        are too close to tell (or the query is not finite). Of `rows_R`, ascending and at least k,
        those alone."""
        among = _Among.of(rows_R, len(self._scales_L))
        step = max(1, MOST_PRODUCTS // among.columns)
        found: list[np.ndarray | None] = []
        for queries in torch.from_numpy(queries_BD).split(step):
            found += self._search(queries, k, among)
        return found

    def _search(self, queries_BD: torch.Tensor, k: int, among: _Among) -> list[np.ndarray | None]:
        scale_B = queries_BD.abs().amax(1).clamp(min=LEAST) / (MIDDLE - 1)
        in_scale_BD = queries_BD / scale_B[:, None]
        whole_BD = whole(in_scale_BD.clone())
        # products in each query's own scale: only comparisons within a row are needed
        products_BL = self._products(whole_BD.to(torch.int8), among)
        off_B = (
            whole_BD.norm(dim=1) * self._error
            + (in_scale_BD - whole_BD).norm(dim=1) * self._longest
            + in_scale_BD.norm(dim=1) * self._longest * SLACK
        )
        least_B = products_BL.topk(k, sorted=False).values.amin(1) - 2 * off_B
        rows = map(np.flatnonzero, (products_BL >= least_B[:, None]).numpy())
        if among.few is not None:
            rows = map(among.few.numpy().__getitem__, rows)
        return [found if k <= len(found) <= SPREAD * k else None for found in rows]

    def _products(self, queries_BD: torch.Tensor, among: _Among) -> torch.Tensor:
        asked, labels = len(queries_BD), among.columns
        if asked > 1:
            queries_BD = torch.nn.functional.pad(queries_BD, (0, 0, 0, -asked % QUERIES))
        multiply = rows_by_few(queries_BD)
        products_BL = torch.empty(asked, labels)
        step = max(PRODUCTS // len(queries_BD), 1)
        for start in range(0, labels, step):
            own = slice(start, start + step)
            rows = own if among.few is None else among.few[own]
            products_RB = multiply(self._bytes_LD[rows]).mul_(self._scales_L[rows, None])
            products_BL[:, own] = products_RB.t().contiguous()[:asked]
            if among.without_L is not None:
                products_BL[:, own].masked_fill_(among.without_L[own], -torch.inf)
        return products_BL


@dataclass(frozen=True)
class _Among:
    """Which rows count: the few that do, or a mask of those that do not, or all. `columns` is how
    many products a query has."""

    columns: int
    few: torch.Tensor | None = None
    without_L: torch.Tensor | None = None

    @classmethod
    def of(cls, rows_R: np.ndarray | None, rows: int) -> _Among:
        if rows_R is None:
            return cls(rows)
        if are_few(len(rows_R), rows):
            return cls(len(rows_R), few=torch.from_numpy(rows_R))
        without_L = torch.ones(rows, dtype=torch.bool)
        without_L[torch.from_numpy(rows_R)] = False
        return cls(rows, without_L=without_L)
