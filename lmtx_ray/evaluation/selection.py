"""The judge's opinion of a ranking on held-aside documents: the only thing selection looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation.metrics import bootstrap_mean

SEED = 13  # of the bootstrap; no setting of the evaluation may change what ships


@dataclass(frozen=True)
class Opinion:
    """Share of documents whose first label the judge accepts, with a 95 % interval, and the share
    accepted of their first `k` labels."""

    mean: float
    low: float
    high: float
    documents: int
    k: int
    at_k: float

    def __str__(self) -> str:
        return f"P@1 {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], P@{self.k} {self.at_k:.3f}"


def to_ship(opinions: Mapping[str, Opinion], ship: str) -> str:
    """ "dense" or "hybrid": which ranking of a state is tagged with.

    `ship` is one of the two, or "auto": fused, unless the judge finds the student alone better than
    the fused ranking's interval. A student is trained to please the judge, so a small preference of
    the judge for it alone says nothing.
    """
    if ship != "auto":
        return ship
    return "dense" if opinions["dense"].mean > opinions["hybrid"].high else "hybrid"


def judged_precision(rankings: pa.Table, verdicts: pa.Table, k: int) -> Opinion:
    """Judged P@1 and P@k of the rankings of held-aside documents; an unclear or missing label
    counts as no.

    Raises:
        ValueError: The judge was never asked about one of the first k labels.
    """
    answers = {
        (row["doc_id"], row["label_id"]): row["answer"]
        for row in verdicts.select(["doc_id", "label_id", "answer"]).to_pylist()
    }
    accepted: list[list[bool]] = []
    for row in rankings.select(["doc_id", "label_ids"]).to_pylist():
        pairs = [(row["doc_id"], label) for label in row["label_ids"][:k]]
        if any(pair not in answers for pair in pairs):
            raise ValueError(f"document {row['doc_id']!r}: a label at its top was never judged")
        yes = [answers[pair] == "yes" for pair in pairs]
        accepted.append(yes + [False] * (k - len(yes)))
    if not accepted:
        raise ValueError("no held-aside documents: set corpus.held_aside above 0")
    yes_BK = np.array(accepted, dtype=np.float64)
    mean, low, high = bootstrap_mean(yes_BK[:, 0], SEED)
    return Opinion(float(mean), float(low), float(high), len(accepted), k, float(yes_BK.mean()))
