"""What is right and what is found if only tags of some probability and more are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation.metrics import bootstrap_ratios, ratio

THRESHOLDS = tuple(tenth / 10 for tenth in range(1, 10))
SEED = 13


def at_thresholds(
    tags: pa.Table,
    gold: pa.Table,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """An entry for each threshold: threshold, tags_per_document, and precision, recall and f1 over
    all tags together, with 95 % bootstrap intervals over documents (`precision_ci`, …; Wilson's
    where all or none are right); the same as means over documents, `macro_precision`, …

    A document that keeps no tag has a precision of 0 of its own. None where no tag is left at all.
    Documents without gold labels are left out.

    Args:
        tags: doc_id, label_ids, probabilities, each document once.
        gold: doc_id, label_ids.
    """
    hits_BT, kept_BT, true_B = counted(tags, gold, thresholds)
    true_BT = np.broadcast_to(true_B[:, None], hits_BT.shape)
    told = {
        "precision": (hits_BT, kept_BT),
        "recall": (hits_BT, true_BT),
        "f1": (2 * hits_BT, kept_BT + true_BT),
    }
    entries: list[dict[str, Any]] = [{"threshold": round(one, 6)} for one in thresholds]
    for entry, share in zip(entries, kept_BT.mean(axis=0), strict=True):
        entry["tags_per_document"] = round(float(share), 4)
    for name, (above_BT, below_BT) in told.items():
        found_T = bootstrap_ratios(above_BT, below_BT, seed)
        means_T = ratio(above_BT, below_BT).mean(axis=0).tolist()
        counts_T = below_BT.sum(axis=0).tolist()
        for entry, found, count, mean in zip(entries, found_T, counts_T, means_T, strict=True):
            if found and found.value in (0, 1):
                found = found.widened(count)
            entry |= found.told(name) if found else {name: None, f"{name}_ci": None}
            entry[f"macro_{name}"] = round(mean, 6)
    return entries


def counted(
    tags: pa.Table, gold: pa.Table, thresholds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(right tags [B, T], kept tags [B, T], gold labels [B]) of documents with gold, as float64."""
    truth = {row["doc_id"]: set(row["label_ids"]) for row in gold.to_pylist() if row["label_ids"]}
    place = {doc_id: number for number, doc_id in enumerate(truth)}
    if not place:
        raise ValueError("no document has gold labels")
    rows, scores, right = [], [], []
    for row in tags.select(["doc_id", "label_ids", "probabilities"]).to_pylist():
        if row["doc_id"] not in place:
            continue
        probabilities = row["probabilities"] or [None] * len(row["label_ids"])
        for label, probability in zip(row["label_ids"], probabilities, strict=True):
            if probability is not None:
                rows.append(place[row["doc_id"]])
                scores.append(probability)
                right.append(label in truth[row["doc_id"]])
    at, score_N, right_N = np.array(rows, int), np.array(scores, float), np.array(right, bool)
    hits_BT, kept_BT = (np.zeros((len(place), len(thresholds))) for _ in range(2))
    for column, threshold in enumerate(thresholds):
        kept_N = score_N >= threshold
        kept_BT[:, column] = np.bincount(at[kept_N], minlength=len(place))
        hits_BT[:, column] = np.bincount(at[kept_N & right_N], minlength=len(place))
    return hits_BT, kept_BT, np.array([len(labels) for labels in truth.values()], float)
