"""The judge's opinion of a ranking on held-aside documents: the only thing selection looks at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.metrics import bootstrap_mean


@dataclass(frozen=True)
class Opinion:
    """Share of documents whose best label the judge accepts, with a 95 % interval."""

    mean: float
    low: float
    high: float
    documents: int

    def __str__(self) -> str:
        return f"P@1 {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], {self.documents} documents"


def judged_precision(
    rankings: pa.Table, verdicts: pa.Table, doc_ids: Collection[str], seed: int
) -> Opinion:
    """Judged P@1 of `rankings` over `doc_ids`; an unclear or missing first label counts as no.

    Raises:
        ValueError: The judge was never asked about a first label.
    """
    answers = {
        (row["doc_id"], row["label_id"]): row["answer"]
        for row in verdicts.select(["doc_id", "label_id", "answer"]).to_pylist()
    }
    accepted = []
    for row in rankings.select(["doc_id", "label_ids"]).to_pylist():
        if row["doc_id"] not in doc_ids:
            continue
        first = row["label_ids"][:1]
        if first and (row["doc_id"], first[0]) not in answers:
            raise ValueError(f"document {row['doc_id']!r}: its first label was never judged")
        accepted.append(bool(first) and answers[row["doc_id"], first[0]] == "yes")
    if not accepted:
        raise ValueError("no held-aside documents: set corpus.held_aside above 0")
    mean, low, high = bootstrap_mean(np.array(accepted, dtype=np.float64), seed)
    return Opinion(float(mean), float(low), float(high), len(accepted))
