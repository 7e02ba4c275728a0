"""The nearest rows among some, query by query, by FAISS in float32.

Shapes: L rows, R of them that count, D dimensions, B queries, K found.
"""

from __future__ import annotations

import faiss
import numpy as np


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
