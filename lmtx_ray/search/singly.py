"""The nearest rows by FAISS in float32: of all, or, query by query, among some.

Shapes: L rows, R of them that count, D dimensions, B queries, K found.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

library: Any = faiss  # whose stubs lack much of what is called here

MOST_SINGLY = 5  # queries that are faster one by one than as a matrix product


def prefer_matrices(dimensions: int) -> None:
    """Have FAISS multiply more than MOST_SINGLY vectors as matrices, in k-means too. The process
    remembers it: what rests on bits has to say so, whatever was searched before."""
    # FAISS compares queries times dimensions with this, not queries; as it comes, fewer than 334
    # queries of 384 dimensions read all rows again and again
    faiss.cvar.distance_compute_blas_threshold = MOST_SINGLY * dimensions + 1


def product_with(rows_RD: np.ndarray) -> Any:
    """FAISS's product of vectors [N, D] with these, `apply`. numpy has threads of its own, which
    wait for work without rest, and would take the processor from those of FAISS."""
    product = library.LinearTransform(rows_RD.shape[1], len(rows_RD), False)
    library.copy_array_to_vector(np.ascontiguousarray(rows_RD).ravel(), product.A)
    product.is_trained = True
    return product


def nearest(
    vectors_LD: np.ndarray, queries_BD: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """rows_BK int64 and scores_BK, best first, of all rows."""
    prefer_matrices(queries_BD.shape[1])
    # of bare arrays: an index would copy the vectors into this process
    scores_BK, rows_BK = faiss.knn(queries_BD, vectors_LD, k, metric=faiss.METRIC_INNER_PRODUCT)
    return rows_BK, scores_BK


def nearest_singly(
    vectors_LD: np.ndarray, rows_R: np.ndarray, queries_BD: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """rows_BK int64 and scores_BK, best first, of the rows `rows_R`: `among.nearest_among` for few
    queries. FAISS makes no product of matrices with a selector."""
    allowed_L = np.zeros(len(vectors_LD), bool)
    allowed_L[rows_R] = True
    bits = np.packbits(allowed_L, bitorder="little")
    scores_BK = np.empty((len(queries_BD), k), np.float32)
    rows_BK = np.empty(scores_BK.shape, np.int64)
    faiss.knn_inner_product(
        faiss.swig_ptr(queries_BD),
        faiss.swig_ptr(vectors_LD),
        queries_BD.shape[1],
        len(queries_BD),
        len(vectors_LD),
        k,
        faiss.swig_ptr(scores_BK),
        faiss.swig_ptr(rows_BK),
        faiss.IDSelectorBitmap(len(vectors_LD), faiss.swig_ptr(bits)),
    )
    return rows_BK, scores_BK
