"""The first tags of some documents as flat arrays: what thresholds, reliability and slices count.

Shapes: B documents, N pairs of a document and a tag, K tags of a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

TOP = 5  # tags of a document, as `lmtx tag` gives them
DEEP = 20  # how far down the precision-recall curve looks


@dataclass(frozen=True)
class Pairs:
    """The first tags of B documents, document by document, best first.

    `p_N` is the stated probability, nan where none is; `true_N` 1 or 0, nan where nobody said;
    `wanted_B` how many right labels a document has, None where that is not known.
    """

    doc_ids: tuple[str, ...]
    document_N: np.ndarray  # int64, place of the document in doc_ids
    label_N: np.ndarray  # int64
    rank_N: np.ndarray  # int64, from 0
    p_N: np.ndarray  # float64
    true_N: np.ndarray  # float64
    wanted_B: np.ndarray | None = None

    @property
    def documents(self) -> int:
        """B."""
        return len(self.doc_ids)

    def where(self, kept_N: np.ndarray) -> Pairs:
        """Some of the pairs, of the same documents."""
        return replace(
            self,
            document_N=self.document_N[kept_N],
            label_N=self.label_N[kept_N],
            rank_N=self.rank_N[kept_N],
            p_N=self.p_N[kept_N],
            true_N=self.true_N[kept_N],
        )

    def first(self, limit: int) -> Pairs:
        """The first `limit` tags of each document, of those that somebody judged."""
        return self.where((self.rank_N < limit) & ~np.isnan(self.true_N))

    def per_document(self, values_N: np.ndarray) -> np.ndarray:
        """float64 [B]: sums of the values of each document's pairs."""
        sums_B: np.ndarray = np.bincount(self.document_N, values_N, minlength=self.documents)
        return sums_B


def flatten(
    doc_ids: Sequence[str],
    labels: Sequence[Sequence[int]],
    probabilities: Sequence[np.ndarray] | None,
    depth: int = DEEP,
) -> Pairs:
    """Rankings cut at `depth`; nothing is known yet of which pairs are right."""
    cut = [list(own[:depth]) for own in labels]
    sizes = [len(own) for own in cut]
    total = sum(sizes)
    p_N = np.full(total, np.nan)
    if probabilities is not None and total:
        p_N = np.concatenate([p[:depth] for p in probabilities]).astype(np.float64)
    return Pairs(
        tuple(doc_ids),
        np.repeat(np.arange(len(cut)), sizes).astype(np.int64),
        np.array([label for own in cut for label in own], np.int64),
        np.array([rank for size in sizes for rank in range(size)], np.int64),
        p_N,
        np.full(total, np.nan),
    )


def against_gold(pairs: Pairs, gold: Mapping[str, set[int]]) -> Pairs:
    """The same, with what the gold labels say of every pair. A document without gold has none."""
    own = [gold.get(doc_id, set()) for doc_id in pairs.doc_ids]
    places = zip(pairs.document_N.tolist(), pairs.label_N.tolist(), strict=True)
    true_N = np.array([float(label in own[document]) for document, label in places], np.float64)
    wanted_B = np.array([len(labels) for labels in own], np.float64)
    return replace(pairs, true_N=true_N, wanted_B=wanted_B)


def against_judge(pairs: Pairs, answers: Mapping[tuple[str, int], str]) -> Pairs:
    """The same, with what the judge says of the pairs that it was asked about; an unclear answer is
    a no, as in selection."""
    places = zip(pairs.document_N.tolist(), pairs.label_N.tolist(), strict=True)
    said = [answers.get((pairs.doc_ids[document], label)) for document, label in places]
    true_N = np.array([np.nan if a is None else float(a == "yes") for a in said], np.float64)
    return replace(pairs, true_N=true_N)
