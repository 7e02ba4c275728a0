"""How well rare and frequent labels are found: PSP@k, and recall by slices of label frequency.

Shapes: B documents, L labels, S slices, C columns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation import metrics
from lmtx_ray.evaluation.evaluation import SEED, predictions_of, truth_of
from lmtx_ray.evaluation.intervals import Measured

SLICES = (  # by how many annotated documents a label stands in: name, least, most
    ("0", 0, 0),
    ("1", 1, 1),
    ("2–5", 2, 5),
    ("6–20", 6, 20),
    ("21–100", 21, 100),
    ("over 100", 101, np.iinfo(np.int64).max),
)
NOTHING = Measured(0.0, 0.0, 0.0)  # PSP where no label counts
LEAST_DOCUMENTS = 3  # below, the weights of PSP would not fall with the count


@dataclass(frozen=True)
class Frequency:
    """In how many of `documents` annotated documents each label stands, int64 [L]."""

    counts_L: np.ndarray
    documents: int
    a: float = 0.55
    b: float = 1.5

    @property
    def weights_L(self) -> np.ndarray:
        """Inverse propensities, float64 [L]; 1 for all where there are hardly any documents."""
        if self.documents < LEAST_DOCUMENTS:
            return np.ones(len(self.counts_L))
        return metrics.inverse_propensity(self.counts_L, self.documents, self.a, self.b)

    @property
    def slice_L(self) -> np.ndarray:
        """Which of SLICES each label is in, int64 [L]."""
        lasts = [most for _, _, most in SLICES]
        return np.searchsorted(lasts, self.counts_L)

    def sizes(self) -> dict[str, int]:
        """Labels of each slice."""
        sizes_S = np.bincount(self.slice_L, minlength=len(SLICES)).tolist()
        return {name: size for (name, _, _), size in zip(SLICES, sizes_S, strict=True)}


@dataclass(frozen=True)
class Sums:
    """Per document what is divided: columns of PSP at each cut, then of each slice. float64 [B, C]
    each."""

    above_BC: np.ndarray
    below_BC: np.ndarray


def sums_of(
    rankings: pa.Table,
    gold: pa.Table,
    frequency: Frequency,
    psp_at: Sequence[int],
    recall_at: int,
    exclude: Collection[int] = (),
) -> Sums:
    """Of the documents of `gold`; those without a ranking gain nothing."""
    doc_ids, truth = truth_of(gold, exclude)
    width = max(*psp_at, recall_at)
    predictions_BK = predictions_of(rankings, doc_ids, width, exclude)
    weights_L, slice_L = frequency.weights_L, frequency.slice_L
    columns = [metrics.psp_at_k(predictions_BK, truth, k, weights_L) for k in psp_at]
    found = np.zeros((len(truth), len(SLICES)))
    wanted = np.zeros_like(found)
    for row, labels in enumerate(truth):
        first = set(predictions_BK[row, :recall_at].tolist())
        for label in labels:
            wanted[row, slice_L[label]] += 1
            found[row, slice_L[label]] += label in first
    above, below = (np.stack([pair[side] for pair in columns], axis=1) for side in (0, 1))
    return Sums(np.hstack([above, found]), np.hstack([below, wanted]))


def summary_of(
    parts: Sequence[Sums], psp_at: Sequence[int], recall_at: int, seed: int = SEED
) -> dict[str, Any]:
    """{"PSP@1": ratio, "PSP@1_ci": [low, high], …, "by_frequency": {slice: {"pairs": gold pairs,
    "R@10": share of them found, "R@10_ci": …}}}; slices without a gold pair are left out."""
    above_BC, below_BC = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("above_BC", "below_BC")
    )
    ratios = metrics.bootstrap_ratios(above_BC, below_BC, seed)
    told: dict[str, Any] = {}
    for k, found in zip(psp_at, ratios, strict=False):
        told |= (found or NOTHING).told(f"PSP@{k}")
    slices = {}
    pairs_S = below_BC[:, len(psp_at) :].sum(axis=0)
    for (name, _, _), found, pairs in zip(SLICES, ratios[len(psp_at) :], pairs_S, strict=True):
        if found is not None:
            slices[name] = {"pairs": int(pairs), **found.told(f"R@{recall_at}")}
    return {**told, "by_frequency": slices}
