"""Judges of `benchmarks.quality`, and what they have said.

The simulated judge is for benchmarks only: it knows gold, and is in no registry of the product.
Shapes: P pairs of a document and a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from scipy.special import expit, ndtri

from benchmarks.quality_sets import Document, Gold
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.memory import document_key
from lmtx_ray.teacher.reading import decide

SLOPE = 2.0  # of its log-odds, in standard deviations of its noise
Pairs = Sequence[tuple[Document, Sequence[int]]]  # labels to ask about of each document
Judge = Callable[[Pairs], list[np.ndarray]]  # P(yes) of each


@dataclass(frozen=True)
class SimulatedJudge:
    """Says yes to so many of the right and of the wrong labels, with graded log-odds.

    What it says of a pair follows from the pair and the seed, whoever asks and whenever.
    """

    gold: Gold
    seed: int
    true_yes: float = 0.85
    false_yes: float = 0.05

    def __call__(self, pairs: Pairs) -> list[np.ndarray]:
        return [self._of(document.doc_id, labels) for document, labels in pairs]

    def _of(self, doc_id: str, labels: Sequence[int]) -> np.ndarray:
        ids_P = np.asarray(labels, np.uint64)
        noise_P = ndtri(_shares(np.uint64(document_key(f"{self.seed}/{doc_id}")), ids_P))
        right = self.gold[doc_id]
        right_P = np.array([label in right for label in labels], bool)
        bars_P = np.where(right_P, ndtri(self.true_yes), ndtri(self.false_yes))
        return expit(SLOPE * (bars_P + noise_P))


def _shares(key: np.uint64, ids_P: np.ndarray) -> np.ndarray:
    """Numbers between 0 and 1 that look drawn (splitmix64)."""
    with np.errstate(over="ignore"):
        x = key + ids_P * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


@dataclass
class Verdicts:
    """What was said of some documents: doc_id -> label -> P(yes). No pair is asked about twice."""

    documents: Sequence[Document]
    said: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Judged pairs."""
        return sum(map(len, self.said.values()))

    def ask(self, judge: Judge, lists: Iterable[Iterable[int]], budget: int | None = None) -> None:
        """Ask about labels of each document, in the order of the documents, that were not asked
        about before; with a budget only so many, shared evenly."""
        pairs = []
        shares = self._shares(budget)
        for document, labels, most in zip(self.documents, lists, shares, strict=True):
            known = self.said.setdefault(document.doc_id, {})
            new = [x for x in dict.fromkeys(labels) if x != PADDING and x not in known]
            pairs.append((document, new[:most]))
        for (document, labels), p_yes_P in zip(pairs, judge(pairs), strict=True):
            self.said[document.doc_id] |= zip(labels, p_yes_P.tolist(), strict=True)

    def _shares(self, budget: int | None) -> list[int | None]:
        if budget is None:
            return [None] * len(self.documents)
        each, rest = divmod(budget, len(self.documents))
        return [each + (place < rest) for place in range(len(self.documents))]

    def by_pair(self) -> dict[tuple[str, int], float]:
        """(doc_id, label) -> P(yes)."""
        return {
            (doc_id, label): p_yes
            for doc_id, known in self.said.items()
            for label, p_yes in known.items()
        }

    def table(self) -> pa.Table:
        """The columns of VERDICTS that examples are made of."""
        pairs = self.by_pair()
        return pa.table(
            {
                "doc_id": pa.array([doc_id for doc_id, _ in pairs], pa.string()),
                "label_id": pa.array([label for _, label in pairs], pa.int32()),
                "answer": [decide(p_yes, None, 0.0) for p_yes in pairs.values()],
                "p_yes": pa.array(pairs.values(), pa.float32()),
            }
        )


def reranked(
    judge: Judge, documents: Sequence[Document], ids_BK: np.ndarray, depth: int
) -> tuple[np.ndarray, int]:
    """The first `depth` labels in the order of what the judge says, then the others; and calls."""
    first = [row[row != PADDING].tolist() for row in ids_BK[:, :depth]]
    said = judge(list(zip(documents, first, strict=True)))
    moved_BK = ids_BK.copy()
    for row, (labels, p_yes_P) in enumerate(zip(first, said, strict=True)):
        order = np.argsort(-p_yes_P, kind="stable")
        moved_BK[row, : len(labels)] = np.array(labels, ids_BK.dtype)[order]
    return moved_BK, sum(map(len, first))
