"""The rows that may be among each query's nearest, found by matrix products in 8-bit integers.

`int8_rows` says how far a product of rounded vectors may be off. So the k nearest rows are among
those whose product is no more than twice that below the k-th best product: about twice k, which the
caller scores exactly. This reads a quarter of the memory that float32 takes, and multiplies faster.

Shapes: L rows, D dimensions, B queries.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

from lmtx_ray.search.among import Among
from lmtx_ray.search.int8_product import rows_by_few
from lmtx_ray.search.int8_rows import Int8Rows
from lmtx_ray.search.running_best import GROUP, RunningBest

PRODUCTS = 1 << 20  # at a time: 4 MiB, which stay in the processor's cache
MOST_QUERIES = 128  # at once
MOST_CANDIDATES = 1 << 17  # of all queries at once, the k of each
QUERIES = 16  # their number is rounded up to a multiple, so that few shapes are compiled


class Int8Nearest:
    """Searches rows where they lie, mapped or not; nothing is copied."""

    def __init__(self, rows: Int8Rows) -> None:
        with warnings.catch_warnings():  # torch has no read-only tensors; these are only read
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self._bytes_LD = torch.from_numpy(rows.bytes_LD)
        self._rows = rows

    def search(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None = None
    ) -> list[np.ndarray | None]:
        """Rows int64, ascending, that hold the k nearest of each query; None where too many rows
        are too close to tell (or the query is not finite). Of `rows_R`, ascending and at least k,
        those alone."""
        among = Among.of(rows_R, len(self._bytes_LD))
        step = min(max(MOST_CANDIDATES // k // QUERIES, 1) * QUERIES, MOST_QUERIES)
        found: list[np.ndarray | None] = []
        for start in range(0, len(queries_BD), step):
            found += self._search(queries_BD[start : start + step], k, among)
        return found

    def _search(self, queries_BD: np.ndarray, k: int, among: Among) -> list[np.ndarray | None]:
        # products in each query's own scale: only comparisons within a row are needed
        whole_BD, off_B = map(torch.from_numpy, self._rows.rounded(queries_BD))
        asked = len(queries_BD)
        short = -asked % QUERIES if asked > 1 else 0
        padded_BD = torch.nn.functional.pad(whole_BD, (0, 0, 0, short)).to(torch.int8)
        best = RunningBest(k, torch.nn.functional.pad(2 * off_B, (0, short), value=-torch.inf))
        for first, products_PB in self._products(padded_BD, among):
            best.add(products_PB, first)
        found = best.rows(asked)
        if among.few is None:
            return found
        few = among.few.numpy()
        return [None if rows is None else few[rows] for rows in found]

    def _products(
        self, queries_BD: torch.Tensor, among: Among
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """(the first row, products_PB) of pieces of the rows that count."""
        multiply = rows_by_few(queries_BD)
        step = max(PRODUCTS // len(queries_BD) // GROUP, 1) * GROUP
        for start in range(0, among.columns, step):
            own = slice(start, start + step)
            rows = own if among.few is None else among.few[own]
            products_PB = multiply(self._bytes_LD[rows])
            if among.without_L is not None:
                products_PB.masked_fill_(among.without_L[own, None], -torch.inf)
            yield start, products_PB
