"""Rankings against gold: per-document metric rows first, everything else from those rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.evaluation import metrics
from lmtx_ray.search.candidates import PADDING

SEED = 13
DEFAULT_KS: Mapping[str, Sequence[int]] = {"P": (1, 3, 5), "R": (10, 100), "nDCG": (5,), "RP": (5,)}
MEASURES: Mapping[str, Callable[[np.ndarray, metrics.Truth, int], np.ndarray]] = {
    "P": metrics.precision_at_k,
    "R": metrics.recall_at_k,
    "RP": metrics.r_precision_at_k,
    "nDCG": metrics.ndcg_at_k,
}


def evaluate(
    rankings: pa.Table,
    gold: pa.Table,
    ks: Mapping[str, Sequence[int]] = DEFAULT_KS,
    exclude: Collection[int] = (),
) -> pa.Table:
    """One row a gold document and metric: doc_id, metric such as "P@5", value float64.

    A gold document without a ranking scores 0. `exclude` takes labels out of both sides; a
    document left without gold then is left out. Raises ValueError for an unknown metric.
    """
    unknown = set(ks) - set(MEASURES)
    if unknown:
        raise ValueError(f"unknown metric {sorted(unknown)}; known: {sorted(MEASURES)}")
    doc_ids, truth = truth_of(gold, exclude)
    width = max((k for cuts in ks.values() for k in cuts), default=1)
    predictions_BK = predictions_of(rankings, doc_ids, width, exclude)
    names, values = [], []
    for measure, cuts in ks.items():
        for k in cuts:
            names.append(f"{measure}@{k}")
            values.append(MEASURES[measure](predictions_BK, truth, k))
    return pa.table(
        {
            "doc_id": pa.array(doc_ids * len(names), pa.string()),
            "metric": pa.array([name for name in names for _ in doc_ids], pa.string()),
            "value": pa.array(np.concatenate(values) if values else [], pa.float64()),
        }
    )


def truth_of(gold: pa.Table, exclude: Collection[int]) -> tuple[list[str], list[list[int]]]:
    """(doc ids, true labels of each) of GOLD, without excluded labels and what has no other."""
    rows = [
        (row["doc_id"], [label for label in row["label_ids"] if label not in exclude])
        for row in gold.to_pylist()
    ]
    rows = [row for row in rows if row[1]]
    return [doc_id for doc_id, _ in rows], [labels for _, labels in rows]


def predictions_of(
    rankings: pa.Table, doc_ids: Sequence[str], width: int, exclude: Collection[int]
) -> np.ndarray:
    """int64 [B, width], the first labels of each document, padded."""
    ranked = dict(
        zip(rankings["doc_id"].to_pylist(), rankings["label_ids"].to_pylist(), strict=True)
    )
    predictions_BK = np.full((len(doc_ids), width), PADDING, dtype=np.int64)
    for row, doc_id in enumerate(doc_ids):
        labels = [label for label in ranked.get(doc_id, ()) if label not in exclude][:width]
        predictions_BK[row, : len(labels)] = labels
    return predictions_BK


def _values(rows: pa.Table, metric: str) -> tuple[pa.ChunkedArray, np.ndarray]:
    """(doc_id, value float64) of one metric, in the order of the rows."""
    own = rows.filter(pc.equal(rows["metric"], metric))
    return own["doc_id"], own["value"].to_numpy()


def summarise(rows: pa.Table, seed: int = SEED) -> dict[str, Any]:
    """{"P@1": mean, "P@1_ci": [low, high], …, "documents": n} with 95 % bootstrap intervals."""
    summary: dict[str, Any] = {}
    documents = 0
    for metric in pc.unique(rows["metric"]).to_pylist():
        _, values = _values(rows, metric)
        summary |= metrics.bootstrap_mean(values, seed).told(metric)
        documents = max(documents, len(values))
    return {**summary, "documents": documents}


def compare(rows_a: pa.Table, rows_b: pa.Table, metric: str, seed: int = SEED) -> dict[str, Any]:
    """{metric: mean of a - b, metric_ci: [low, high]} over the same documents, paired.

    Raises:
        ValueError: The two sides scored different documents.
    """
    (ids, first), (others, second) = _values(rows_a, metric), _values(rows_b, metric)
    places = pc.index_in(ids, value_set=pa.chunked_array(others))
    if len(ids) != len(others) or places.null_count:
        raise ValueError(f"{metric}: the two sides scored different documents")
    second = second[places.to_numpy()]
    return metrics.bootstrap_difference(first, second, seed).told(metric)
