"""Tags or rankings against gold, by keys or by ids, from tables or from where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.outputs import read_manifests, read_tags
from lmtx_ray.batch.plan import name_of
from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.metrics import inverse_propensity
from lmtx_ray.io import storage
from lmtx_ray.io.published import read_published

Given = Any  # pa.Table, what pa.table() takes (a dict of columns, a DataFrame), or a URI
KEYS, IDS = "label_keys", "label_ids"


def evaluate(
    answers: Given,
    gold: Given,
    labels: Given = None,
    ks: Mapping[str, Sequence[int]] = evaluation.DEFAULT_KS,
    counts: Mapping[Any, int] | None = None,
    counted: int | None = None,
    propensity: tuple[float, float] = (0.55, 1.5),
) -> dict[str, Any]:
    """Mean metrics with 95 % bootstrap intervals: {"P@1": …, "P@1_ci": [low, high], …,
    "documents": n}.

    A gold document without an answer scores 0, and so does what lies beyond an answer's end.

    Args:
        answers: doc_id, and label_keys (tags) or label_ids (rankings), best first: a table, a dict
            of columns, a DataFrame, or the URI of a Parquet file, a step or a batch output.
        gold: doc_id, and label_keys or label_ids, likewise.
        labels: label_id and label_key; needed where one side has keys and the other has ids.
        ks: Cut-offs of each metric.
        counts: In how many of `counted` annotated documents a label stands, by label key, or by id
            where both sides have ids; adds PSP@k for the cut-offs of P. 0 for labels not in it.
        propensity: A and B of Jain et al. 2016: (0.5, 0.4) for Wikipedia's sets, (0.6, 2.6) for
            Amazon's.

    Raises:
        ValueError: A column is missing, or keys meet ids and there are no `labels`; an unknown
            metric.
    """
    tables = {"answers": _table(answers), "gold": _table(gold)}
    kinds = {name: _kind(name, table) for name, table in tables.items()}
    if len(set(kinds.values())) > 1:
        if labels is None:
            said = ", ".join(f"{name} have {kind}" for name, kind in kinds.items())
            raise ValueError(f"{said}: give `labels`, with label_id and label_key")
        numbers = _numbers(_table(labels))
    else:
        numbers = {}
    ranked, right = (_by_ids(tables[name], kinds[name], numbers) for name in ("answers", "gold"))
    summary = evaluation.summarise(evaluation.evaluate(ranked, right, ks))
    if counts is None:
        return summary
    if not counted:
        raise ValueError("counts need `counted`, the number of documents they were counted in")
    counts_L = _counts(counts, numbers if KEYS in kinds.values() else None, [ranked, right])
    weights_L = inverse_propensity(counts_L, counted, *propensity)
    at = ks.get("P", (1, 3, 5))
    return summary | evaluation.propensity_scored(ranked, right, weights_L, at)


def _counts(
    counts: Mapping[Any, int], numbers: dict[str, int] | None, rows: Sequence[pa.Table]
) -> np.ndarray:
    """float64 [L], a count for each label id that the tables have."""
    flat = (label for table in rows for labels in table[IDS].to_pylist() for label in labels)
    counts_L = np.zeros(max(flat, default=0) + 1)
    for label, count in counts.items():
        place = int(label) if numbers is None else numbers.get(label, len(counts_L))
        if 0 <= place < len(counts_L):
            counts_L[place] = count
    return counts_L


def _table(given: Given) -> pa.Table:
    if isinstance(given, pa.Table):
        return given
    if not isinstance(given, str):
        return pa.table(given)
    if read_manifests(given) and storage.stat(storage.join(given, name_of("PLAN", 0))):
        return read_tags(given)
    return read_published(given)


def _kind(name: str, table: pa.Table) -> str:
    kind = next((kind for kind in (IDS, KEYS) if kind in table.column_names), None)
    if kind is None or "doc_id" not in table.column_names:
        there = ", ".join(table.column_names)
        raise ValueError(f"{name}: doc_id and {KEYS} or {IDS} are needed, there are: {there}")
    return kind


def _numbers(labels: pa.Table) -> dict[str, int]:
    return dict(zip(labels["label_key"].to_pylist(), labels["label_id"].to_pylist(), strict=True))


def _by_ids(table: pa.Table, kind: str, numbers: dict[str, int]) -> pa.Table:
    """doc_id and label_ids; keys are given numbers of their own where they have none."""
    if kind == IDS:
        return table
    lists = [
        [numbers.setdefault(key, len(numbers)) for key in keys or ()]
        for keys in table[KEYS].to_pylist()
    ]
    return pa.table({"doc_id": table["doc_id"], IDS: pa.array(lists, pa.list_(pa.int64()))})
