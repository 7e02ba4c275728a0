"""Top-k arithmetic on candidate lists: merging, fusion, and the way to and from `rankings`.

Shapes: B documents, K candidates. Lists are padded with id -1 and score -inf. Equal scores are
ordered by label id, so results never depend on sharding or on the order of inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.search import FUSION_CONSTANT
from lmtx_ray.corpus import schemas

PADDING = -1
Candidates = tuple[np.ndarray, np.ndarray]  # ids_BK, scores_BK


def top_k(ids_BK: np.ndarray, scores_BK: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each row, best first: int32 ids and float32 scores, padded to width k."""
    scores_BK = np.where(ids_BK == PADDING, -np.inf, scores_BK).astype(np.float32)
    order = np.lexsort((ids_BK, -scores_BK), axis=1)[:, :k]
    ids = np.take_along_axis(ids_BK, order, axis=1).astype(np.int32)
    scores = np.take_along_axis(scores_BK, order, axis=1)
    short = k - ids.shape[1]
    if short > 0:
        ids = np.pad(ids, ((0, 0), (0, short)), constant_values=PADDING)
        scores = np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf)
    return ids, scores


def top_labels(ids_BK: np.ndarray, scores_BK: np.ndarray, k: int) -> Candidates:
    """The same where an id may be in a row several times: its best score counts."""
    order = np.lexsort((-scores_BK, ids_BK), axis=1)
    ids = np.take_along_axis(ids_BK, order, axis=1)
    again_BK = np.zeros(ids.shape, bool)
    again_BK[:, 1:] = ids[:, 1:] == ids[:, :-1]
    scores = np.take_along_axis(scores_BK, order, axis=1)
    return top_k(np.where(again_BK, PADDING, ids), scores, k)


def merge_top_k(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Top k over shards' (ids_BK, scores_BK): equals the search of the whole. A label that has rows
    in several of them counts once."""
    ids = np.concatenate([ids for ids, _ in parts], axis=1)
    scores = np.concatenate([scores for _, scores in parts], axis=1)
    return top_labels(ids, scores, k)


def reciprocal_rank_fusion(
    rankings: Sequence[np.ndarray],
    k: int,
    weights: Sequence[float] | None = None,
    constant: int = FUSION_CONSTANT,
) -> tuple[np.ndarray, np.ndarray]:
    """Fuse id lists: score = sum of weight / (constant + rank), rank from 1 (Cormack 2009).

    Args:
        rankings: One ids_BK array a source, best first, padded with -1; widths may differ.
        k: Width of the result.
        weights: One a source; equal if None.
    """
    weights = [1.0] * len(rankings) if weights is None else weights
    rows = max((ids.shape[0] for ids in rankings), default=0)
    sides = [(ids, weight) for ids, weight in zip(rankings, weights, strict=True) if weight > 0]
    if not sides:
        return as_lists(np.empty(0, int), np.empty(0, int), np.empty(0), (rows, k))
    ids_BN = np.concatenate([ids for ids, _ in sides], axis=1)
    gains_N = [weight / (constant + np.arange(1, ids.shape[1] + 1)) for ids, weight in sides]
    rows_M, places_M = np.nonzero(ids_BN != PADDING)
    pairs, numbers_M = np.unique(
        rows_M << 32 | ids_BN[rows_M, places_M].astype(np.int64), return_inverse=True
    )
    scores = np.bincount(numbers_M, np.concatenate(gains_N)[places_M])  # source after source
    labels = pairs & 0xFFFFFFFF
    order = np.lexsort((labels, -scores, pairs >> 32))
    return as_lists((pairs >> 32)[order], labels[order], scores[order], (rows, k))


def as_lists(
    rows_M: np.ndarray, labels_M: np.ndarray, scores_M: np.ndarray, shape: tuple[int, int]
) -> Candidates:
    """(row, label, score) of M candidates, row after row and best first, as arrays [B, K]."""
    ids_BK, scores_BK = np.full(shape, PADDING, np.int32), np.full(shape, -np.inf, np.float32)
    places_M = np.arange(len(rows_M)) - np.searchsorted(rows_M, rows_M)
    kept_M = places_M < shape[1]
    at = rows_M[kept_M], places_M[kept_M]
    ids_BK[at], scores_BK[at] = labels_M[kept_M], scores_M[kept_M]
    return ids_BK, scores_BK


def to_rankings(doc_ids: Sequence[str], ids_BK: np.ndarray, scores_BK: np.ndarray) -> pa.Table:
    """A `rankings` table; padding is dropped."""
    kept_BK = ids_BK != PADDING
    lengths = kept_BK.sum(axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    ids = pa.ListArray.from_arrays(offsets, pa.array(ids_BK[kept_BK].astype(np.int32)))
    scores = pa.ListArray.from_arrays(offsets, pa.array(scores_BK[kept_BK].astype(np.float32)))
    table = pa.table({"doc_id": pa.array(doc_ids, pa.string()), "label_ids": ids, "scores": scores})
    return schemas.conform(table, schemas.RANKINGS)


def rankings_arrays(rankings: pa.Table, k: int) -> tuple[np.ndarray, np.ndarray]:
    """First k candidates of each row: ids_BK int32 and scores_BK float32, padded."""
    rows = rankings.num_rows
    lengths_B = pc.list_value_length(rankings["label_ids"]).to_numpy().astype(np.int64)
    labels_M, scores_M = (
        pc.list_flatten(rankings[name]).to_numpy() for name in ("label_ids", "scores")
    )
    return as_lists(np.repeat(np.arange(rows), lengths_B), labels_M, scores_M, (rows, k))
