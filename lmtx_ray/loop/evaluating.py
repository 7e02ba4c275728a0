"""Tags or rankings against gold, by keys or by ids, from tables or from where they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS
from lmtx_ray.corpus.gold import GoldSource
from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.frequency import Frequency, summary_of, sums_of
from lmtx_ray.evaluation.thresholds import at_thresholds
from lmtx_ray.loop.matching import Given, Matched, has_probabilities, match, overlap
from lmtx_ray.loop.self_matching import rows_of_gold, without_pairs


def evaluate(
    answers: Given,
    gold: Given | GoldSource,
    labels: Given = None,
    ks: Mapping[str, Sequence[int]] = evaluation.DEFAULT_KS,
    counts: Mapping[Any, int] | None = None,
    counted: int | None = None,
    propensity: tuple[float, float] = (0.55, 1.5),
    matched_only: bool = False,
    rejects: str | None = None,
    self_matches: str | None = None,
    row_ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Mean metrics with 95 % bootstrap intervals: {"P@1": …, "P@1_ci": [low, high], …,
    "documents": n}. Beside them "matched", the documents that both sides have, "only_gold" and
    "only_tags" ({"documents": n, "examples": ids}), "gold" (rows, documents, labels, rejected,
    rejects), and, where answers have probabilities, "thresholds": precision, recall and F1 if only
    tags of 0.1, 0.2, … and more are kept (`thresholds.at_thresholds`).

    A gold document without an answer scores 0, and so does what lies beyond an answer's end.

    Args:
        answers: doc_id, and label_keys (tags) or label_ids (rankings), best first, perhaps
            probabilities: a table, a dict of columns, a DataFrame, or the URI of a file, a step or
            the output of `lmtx tag`.
        gold: doc_id, and label_keys or label_ids, likewise; or the URI of a gold file or step, or
            a `GoldSource` that names the columns of one (`docs/evaluation.md`).
        labels: The label set: label_id, label_key and text, or the URI of a file of labels, a
            bundle or a step. Gold that is no label of it is rejected. Without it gold names are
            looked for among the answers' own labels; needed where one side has keys and the other
            has ids.
        ks: Cut-offs of each metric.
        counts: In how many of `counted` annotated documents a label stands, by label key, or by id
            where both sides have ids; adds PSP@k for the cut-offs of P, and "by_frequency": recall
            of the gold pairs of rare and frequent labels (`frequency.SLICES`). 0 for labels not in
            it.
        propensity: A and B of Jain et al. 2016: (0.5, 0.4) for Wikipedia's sets, (0.6, 2.6) for
            Amazon's.
        matched_only: Leave gold documents without an answer out.
        self_matches: A file of pairs of rows, of a document and of a label, that count on no side,
            such as the repository's `filter_labels_test.txt`. The result tells how many there were.
        row_ids: The document id of each row that is counted there; by default the rows are those of
            the gold.
        rejects: Write all that is rejected of the gold to this CSV file: source, position, reason
            and what stood there. The result names the first few.

    Raises:
        ValueError: No document is on both sides; a column is missing, or keys meet ids and there
            are no `labels`; no gold label is one of the label set; an unknown metric.
    """
    found = match(answers, gold, labels, rejects)
    filtered: dict[str, Any] = {}
    if self_matches is not None:
        found, filtered = without_pairs(found, self_matches, row_ids or rows_of_gold(gold))
    told, right = overlap(found, matched_only)
    summary = evaluation.summarise(evaluation.evaluate(found.ranked, right, ks)) | told | filtered
    if has_probabilities(found.ranked):
        summary["thresholds"] = at_thresholds(found.ranked, right)
    if counts is None:
        return summary
    if not counted:
        raise ValueError("counts need `counted`, the number of documents they were counted in")
    frequency = Frequency(_counts(counts, found, right), counted, *propensity)
    return summary | _by_frequency(found.ranked, right, frequency, ks)


def _by_frequency(
    ranked: pa.Table, right: pa.Table, frequency: Frequency, ks: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """PSP@k, and recall of rare and frequent labels."""
    at, recall = ks.get("P", (1, 3, 5)), ks.get("R", (10,))[0]
    return summary_of([sums_of(ranked, right, frequency, at, recall)], at, recall)


def _counts(counts: Mapping[Any, int], found: Matched, right: pa.Table) -> np.ndarray:
    """float64 [L], a count for each label id that the tables have."""
    tables = (found.ranked, right)
    flat = (label for table in tables for labels in table[IDS].to_pylist() for label in labels)
    counts_L = np.zeros(max(flat, default=0) + 1)
    for label, count in counts.items():
        place = label if isinstance(label, int) else found.numbering.number(label)
        if 0 <= place < len(counts_L):
            counts_L[place] = count
    return counts_L


def count_labels(source: GoldSource, answers: pa.Table, labels: Given = None) -> dict[str, Any]:
    """`counts` and `counted` of `evaluate`, of an annotated corpus. Raises as `evaluate`."""
    found = match(answers, source, labels)
    flat = Counter(label for ids in found.gold.labels.values() for label in ids)
    by = found.numbering
    if not len(by.names) and not by.further:  # both sides have ids
        return {"counts": flat, "counted": len(found.gold.labels)}
    names = {number: name for name, number in by.further.items()}
    counts = {names.get(label) or by.key(label): count for label, count in flat.items()}
    return {"counts": counts, "counted": len(found.gold.labels)}
