"""The judge's opinion of a ranking on held-aside documents: the only thing selection looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation.metrics import bootstrap_difference, bootstrap_mean

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
    """ "dense", "hybrid" or "learned": which ranking of a state is tagged with.

    `ship` is one of them, or "auto": all sides weighed, unless the judge finds a simpler ranking
    better than that one's interval. A student is trained, and weights are fitted, to please the
    judge, so its preference for them says little, and one against them much. Of a state without
    weights "learned" is "hybrid".
    """
    if ship != "auto":
        return ship if ship in opinions else "hybrid"
    fullest = "learned" if "learned" in opinions else "hybrid"
    best = max(opinions, key=lambda name: opinions[name].mean)
    return best if opinions[best].mean > opinions[fullest].high else fullest


@dataclass(frozen=True)
class Accepted:
    """What the judge accepts of the first labels of documents: bool [B, K] as float64."""

    doc_ids: list[str]
    yes_BK: np.ndarray

    def opinion(self) -> Opinion:
        """Shares with intervals. Raises ValueError without documents."""
        if not self.doc_ids:
            raise ValueError("no held-aside documents: set corpus.held_aside above 0")
        mean, low, high = bootstrap_mean(self.yes_BK[:, 0], SEED)
        documents, k = self.yes_BK.shape
        return Opinion(mean, low, high, documents, k, float(self.yes_BK.mean()))


@dataclass(frozen=True)
class Gain:
    """Judged P@1 of one ranking less that of another on the same documents, with a 95 % paired
    interval."""

    mean: float
    low: float
    high: float
    documents: int

    @property
    def is_sure(self) -> bool:
        """Whether it is more than chance."""
        return self.low > 0

    def __str__(self) -> str:
        points = f"{100 * self.mean:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return f"{points} of judged P@1 on {self.documents} held-aside documents"


def gain_over(one: Accepted, other: Accepted) -> Gain:
    """How much more of `one` is accepted, over the documents of both."""
    places = {doc_id: place for place, doc_id in enumerate(other.doc_ids)}
    both = [(n, places[doc_id]) for n, doc_id in enumerate(one.doc_ids) if doc_id in places]
    first, second = (list(side) for side in zip(*both, strict=True))
    found = bootstrap_difference(one.yes_BK[first, 0], other.yes_BK[second, 0], SEED)
    return Gain(*found, len(both))


def accepted_of(rankings: pa.Table, verdicts: pa.Table, k: int) -> Accepted:
    """Which of the first k labels of held-aside documents the judge accepts; an unclear or missing
    label counts as no.

    Raises:
        ValueError: The judge was never asked about one of the first k labels.
    """
    answers = {
        (row["doc_id"], row["label_id"]): row["answer"]
        for row in verdicts.select(["doc_id", "label_id", "answer"]).to_pylist()
    }
    doc_ids: list[str] = []
    accepted: list[list[bool]] = []
    for row in rankings.select(["doc_id", "label_ids"]).to_pylist():
        pairs = [(row["doc_id"], label) for label in row["label_ids"][:k]]
        if any(pair not in answers for pair in pairs):
            raise ValueError(f"document {row['doc_id']!r}: a label at its top was never judged")
        yes = [answers[pair] == "yes" for pair in pairs]
        doc_ids.append(row["doc_id"])
        accepted.append(yes + [False] * (k - len(yes)))
    return Accepted(doc_ids, np.array(accepted, dtype=np.float64).reshape(len(doc_ids), k))
