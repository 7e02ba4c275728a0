"""The best of a few rows of each query, by products of two vectors alone.

Shapes: B queries, L rows, D dimensions, W rows of each query, K kept.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

library: Any = faiss  # whose stubs lack much of what is called here

PARTS = 2  # of the rows of one query


def best_of(
    queries_BD: np.ndarray, vectors_LD: np.ndarray, rows_BW: np.ndarray, k: int
) -> np.ndarray:
    """rows_BK int64: the best k of each query's own rows, which -1 pads, in no order."""
    if rows_BW.shape[1] <= k:
        return rows_BW
    products_BW = products_of(queries_BD, vectors_LD, rows_BW)
    best_BK = np.argpartition(-products_BW, k - 1, axis=1)[:, :k]
    return np.ascontiguousarray(np.take_along_axis(rows_BW, best_BK, axis=1))


def products_of(queries_BD: np.ndarray, vectors_LD: np.ndarray, rows_BW: np.ndarray) -> np.ndarray:
    """products_BW of each query and its own rows, int64; -inf where -1 stands for none. One is
    summed in float32 and does not depend on the other rows and queries."""
    products_BW = np.empty(rows_BW.shape, np.float32)
    # FAISS gives a thread whole queries, so one is asked as two
    parts = PARTS if len(queries_BD) == 1 and rows_BW.shape[1] % PARTS == 0 else 1
    queries_PD = queries_BD.repeat(parts, axis=0)
    rows_PW = rows_BW.reshape(len(queries_PD), -1) if parts > 1 else rows_BW
    library.fvec_inner_products_by_idx(
        library.swig_ptr(products_BW),
        library.swig_ptr(queries_PD),
        library.swig_ptr(vectors_LD),
        library.swig_ptr(rows_PW),
        queries_PD.shape[1],
        *rows_PW.shape,
    )
    products_BW[rows_BW < 0] = -np.inf
    return products_BW
