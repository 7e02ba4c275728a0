"""The rows that may be among a query's nearest, found by inner products in 8-bit integers.

A product of rounded vectors is off by at most
    |q'| |l - l'| + |q - q'| |l|        (Cauchy-Schwarz; q', l' are q, l as rounded)
from the exact one. So the k nearest rows are among those whose product is no more than twice that
below the k-th best product: two or three times k, which the caller scores exactly. This reads a
quarter of the memory that float32 takes, and multiplies faster.

Shapes: L rows, D dimensions, B queries.
"""

from __future__ import annotations

import numpy as np
import torch

from lmtx_ray.search.int8_product import LEAST, MIDDLE, Int8Product, to_uint8, whole

SLACK = 1e-5  # of |q| |l|: more than the roundings of float32
MOST_PRODUCTS = 1 << 24  # at a time: 64 MiB
FEW_ROWS = 4096  # and fewer are searched as fast in float32
SPREAD = 8  # times k: with more rows than this it is no gain to score them exactly


class Int8Nearest:
    """int8 copies of vectors_LD float32."""

    def __init__(self, vectors_LD: np.ndarray) -> None:
        vectors = torch.from_numpy(vectors_LD)
        self._rows = len(vectors)
        self._product = Int8Product(vectors)
        self._error = self._product.errors_O.max().item()
        self._longest = vectors.norm(dim=1).max().item()

    def search(self, queries_BD: np.ndarray, k: int) -> list[np.ndarray | None]:
        """Rows int64, ascending, that hold the k nearest of each query; None where too many rows
        are too close to tell (or the query is not finite)."""
        step = max(1, MOST_PRODUCTS // self._rows)
        found: list[np.ndarray | None] = []
        for queries in torch.from_numpy(queries_BD).split(step):
            found += self._search(queries, k)
        return found

    def _search(self, queries_BD: torch.Tensor, k: int) -> list[np.ndarray | None]:
        scale_B = queries_BD.abs().amax(1).clamp(min=LEAST) / (MIDDLE - 1)
        in_scale_BD = queries_BD / scale_B[:, None]
        whole_BD = whole(in_scale_BD.clone())
        # products in each query's own scale: only comparisons within a row are needed
        products_BL = self._product(to_uint8(whole_BD), 1.0, MIDDLE)
        off_B = (
            whole_BD.norm(dim=1) * self._error
            + (in_scale_BD - whole_BD).norm(dim=1) * self._longest
            + in_scale_BD.norm(dim=1) * self._longest * SLACK
        )
        least_B = products_BL.topk(k, sorted=False).values.amin(1) - 2 * off_B
        rows = map(np.flatnonzero, (products_BL >= least_B[:, None]).numpy())
        return [found if k <= len(found) <= SPREAD * k else None for found in rows]


def is_worth(rows: int, k: int) -> bool:
    """Whether a search for k of so many rows gains by this."""
    return rows >= FEW_ROWS and k * SPREAD <= rows
