"""Verdicts to training examples: every acceptance rule is here.

An unclear answer is neither a positive nor a negative. A document without an accepted label gives
no example.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.schemas import HUMAN

TINY = 1e-9


def relative(verdicts: pa.Table, config: PseudoLabelConfig) -> pa.Table:
    """Verdicts as they are, or, with `accept_deviations`, with P(yes) and answer relative to the
    mean and standard deviation of the log-odds of each document's verdicts.

    Unclear answers and those without a P(yes) stay. Where all log-odds are equal there is no order:
    they are unclear.
    """
    if config.accept_deviations is None or verdicts.num_rows == 0:
        return verdicts
    answers = verdicts["answer"].to_pylist()
    p_yes = np.array(verdicts["p_yes"].to_pylist(), np.float64)  # a null is nan
    moved, ordered = _moved(verdicts["doc_id"].to_pylist(), p_yes, config.accept_deviations)
    given = ~np.isnan(p_yes)
    answers = [
        answer if answer == "unclear" or not known else _answer(has_order, p)
        for answer, known, has_order, p in zip(answers, given, ordered, moved, strict=True)
    ]
    changed = {
        "answer": pa.array(answers, pa.string()),
        "p_yes": pa.array(np.where(ordered, moved, 0), pa.float32(), mask=~ordered),
    }
    for name, column in changed.items():
        place = verdicts.schema.get_field_index(name)
        verdicts = verdicts.set_column(place, verdicts.schema.field(name), column)
    return verdicts


def _moved(
    doc_ids: list[str], p_yes: np.ndarray, deviations: float
) -> tuple[np.ndarray, np.ndarray]:
    """(P(yes) relative to the document's, whether there is one: not where all are equal)."""
    clipped = np.clip(p_yes, TINY, 1 - TINY)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    _, groups = np.unique(doc_ids, return_inverse=True)
    given = ~np.isnan(p_yes)

    def mean_of_group(values: np.ndarray) -> np.ndarray:
        inside, size = groups[given], groups.max() + 1
        total = np.bincount(inside, values[given], minlength=size)
        return (total / np.maximum(np.bincount(inside, minlength=size), 1))[groups]

    mean = mean_of_group(log_odds)
    deviation = np.sqrt(mean_of_group((log_odds - mean) ** 2))
    bar = mean + deviations * deviation
    return 1 / (1 + np.exp(-np.clip(log_odds - bar, -50, 50))), given & (deviation > TINY)


def _answer(has_order: bool, p_yes: float) -> str:
    if not has_order:
        return "unclear"
    return "yes" if p_yes > 0.5 else "no"


def build_examples(verdicts: pa.Table, config: PseudoLabelConfig, seed: int = 0) -> pa.Table:
    """`examples`, one row for each document with an accepted label, sorted by doc_id.

    Among a document's positives the likeliest are kept; `seed` settles equal probabilities, so
    that no position in the label set is favoured.
    """
    by_doc: dict[str, list[tuple[float, int]]] = {}
    judged = relative(verdicts, config)
    for row in judged.select(schemas.JUDGED).to_pylist():
        if row["answer"] != "unclear":
            p_yes = probability(row["answer"], row["p_yes"])
            by_doc.setdefault(row["doc_id"], []).append((p_yes, row["label_id"]))
    rows = [_example(doc_id, by_doc[doc_id], config, seed) for doc_id in sorted(by_doc)]
    rows = [row for row in rows if row["positives"]]
    table = pa.Table.from_pylist(rows, schema=schemas.EXAMPLES)
    return schemas.conform(table, schemas.EXAMPLES)


def _example(
    doc_id: str, judged: list[tuple[float, int]], config: PseudoLabelConfig, seed: int
) -> dict[str, Any]:
    # as P(yes) is kept: 0.9 in float32 is less than 0.9, and a grade that is just enough is enough
    accept, below = np.array([config.accept, config.negative_below], np.float32).tolist()
    ordered = sorted(judged, key=lambda pair: (-pair[0], _tie(doc_id, pair[1], seed)))
    positives = [(p, label) for p, label in ordered if p >= accept][: config.max_positives]
    negatives = [label for p, label in ordered if p < min(below, accept)][: config.negatives]
    return {
        "doc_id": doc_id,
        "positives": [label for _, label in positives],
        "targets": [p if config.soft else 1.0 for p, _ in positives],
        "hard_negatives": negatives,
    }


def _tie(doc_id: str, label: int, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{doc_id}/{label}".encode(), digest_size=8).digest()


def probability(answer: str, p_yes: float | None) -> float:
    """P(yes) of an answer; of one that came without it 1, 0 or, if it is unclear, 0.5."""
    return {"yes": 1.0, "no": 0.0}.get(answer, 0.5) if p_yes is None else p_yes


def target(answer: str, p_yes: float | None) -> float | None:
    """`probability` as what is learned from an answer: None of an unclear one, which says
    nothing."""
    return None if answer == "unclear" else probability(answer, p_yes)


def pair_report(verdicts: pa.Table, gold: pa.Table) -> dict[str, float]:
    """Precision, recall and AUC of the judge on the judged pairs of documents with gold.

    Recall is among judged pairs: a gold label that was never a candidate is not the judge's miss.
    Unclear pairs count as a no. Answers of people are left out.
    """
    truth = {row["doc_id"]: set(row["label_ids"]) for row in gold.to_pylist()}
    rows = [
        row for row in verdicts.to_pylist() if row["doc_id"] in truth and row["teacher"] != HUMAN
    ]
    true = np.array([row["label_id"] in truth[row["doc_id"]] for row in rows], dtype=bool)
    yes = np.array([row["answer"] == "yes" for row in rows], dtype=bool)
    p_yes = np.array([probability(row["answer"], row["p_yes"]) for row in rows])
    hits = float((true & yes).sum())
    return {
        "pairs": len(rows),
        "precision": round(hits / max(yes.sum(), 1), 4),
        "recall": round(hits / max(true.sum(), 1), 4),
        "auc": round(area_under_curve(p_yes, true), 4),
    }


def area_under_curve(scores: np.ndarray, true: np.ndarray) -> float:
    """Chance that a true pair scores above a false one, ties count half; nan without both."""
    positives, negatives = int(true.sum()), int((~true).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[true].sum() - positives * (positives + 1) / 2) / (positives * negatives))
