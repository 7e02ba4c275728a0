"""Rows whose products with a query float32 cannot tell apart, as where many labels are the same.

A product of float32 is off by at most (D + 2) 2^-24 |q| |l|, in whatever order it is summed
(Higham, Accuracy and Stability of Numerical Algorithms, 3.1). Where the last row that was found is
more than twice that below the k-th, no row that was not found is among the k nearest.
Shapes: L rows, R of them that count, D dimensions, B queries, K found, P rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PIECE = 1 << 13  # rows


def rounding(dimensions: int) -> float:
    """How far products of float32 may be from each other that are the same, in parts of |q| |l|."""
    return float((dimensions + 2) * 2.0**-23)


def longest(vectors_LD: np.ndarray) -> float:
    """The greatest length of a row."""
    lengths = [np.linalg.norm(piece_PD, axis=1).max() for _, piece_PD in _pieces(vectors_LD, None)]
    return float(max(lengths, default=0.0))


def are_told(scores_BK: np.ndarray, k: int, queries_BD: np.ndarray, length: float) -> np.ndarray:
    """bool [B]: whether the k nearest are certainly among the rows with these products of float32,
    best first, of rows no longer than `length`; also for queries that are not finite."""
    margin_B = rounding(queries_BD.shape[1]) * length * np.linalg.norm(queries_BD, axis=1)
    told_B: np.ndarray = ~(scores_BK[:, k - 1] - scores_BK[:, -1] <= margin_B)
    return told_B


def nearest_exactly(
    vectors_LD: np.ndarray, rows_R: np.ndarray | None, queries_BD: np.ndarray, k: int
) -> list[np.ndarray]:
    """For each query the up to k rows, int64, nearest first, among all or `rows_R`, which ascend.
    Products are summed in float64 and rounded to float32; of equal ones the first row is nearer."""
    nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
    best, exact_BD = [nothing for _ in queries_BD], queries_BD.astype(np.float64)
    for rows_P, piece_PD in _pieces(vectors_LD, rows_R):
        products_BP = exact_BD @ piece_PD.T
        for place, scores_P in enumerate(products_BP.astype(np.float32)):
            rows_K, scores_K = best[place]
            # a later row of the same score is never nearer
            better = scores_P > (scores_K[-1] if len(rows_K) == k else -np.inf)
            rows = np.concatenate([rows_K, rows_P[better]])
            scores = np.concatenate([scores_K, scores_P[better]])
            order = np.argsort(-scores, kind="stable")[:k]
            best[place] = rows[order], scores[order]
    return [rows_K for rows_K, _ in best]


def _pieces(
    vectors_LD: np.ndarray, rows_R: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows, their vectors in float64), all or `rows_R`."""
    for start in range(0, len(vectors_LD) if rows_R is None else len(rows_R), PIECE):
        if rows_R is None:
            rows_P = np.arange(start, min(start + PIECE, len(vectors_LD)))
            yield rows_P, vectors_LD[start : start + PIECE].astype(np.float64)
        else:
            rows_P = rows_R[start : start + PIECE]
            yield rows_P, vectors_LD[rows_P].astype(np.float64)
