"""Paired differences of two sides on the same documents, and the documents where they are largest.

Shapes: B documents, M metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmtx_ray.evaluation.metrics import bootstrap_difference

SEED = 13


@dataclass(frozen=True)
class Differences:
    """Values of both sides and the first labels they give each document; `is_right` of a document
    and a label is None where nobody knows."""

    doc_ids: list[str]
    metrics: list[str]
    first_BM: np.ndarray
    second_BM: np.ndarray
    first_tops: Mapping[str, list[int]]
    second_tops: Mapping[str, list[int]]
    is_right: Callable[[str, int], bool | None]

    def told(self) -> dict[str, Any]:
        """metric -> means `a` and `b`, `difference` (b - a) with `difference_ci`, its 95 % paired
        interval, and whether it is `sure`, more than chance."""
        found: dict[str, Any] = {}
        for place, name in enumerate(self.metrics):
            first_B, second_B = self.first_BM[:, place], self.second_BM[:, place]
            mean, low, high = bootstrap_difference(second_B, first_B, SEED)
            found[name] = {
                "a": round(float(first_B.mean()), 6),
                "b": round(float(second_B.mean()), 6),
                "difference": round(mean, 6),
                "difference_ci": [round(low, 6), round(high, 6)],
                "sure": low > 0 or high < 0,
            }
        return found

    def most(self, count: int) -> list[str]:
        """Ids of the documents that differ most: by all metrics together, then by how many labels
        changed. Those with the same labels in the same order are none of them."""
        moved_B = np.abs(self.second_BM - self.first_BM).sum(axis=1)
        found = []
        for doc_id, moved in zip(self.doc_ids, moved_B.tolist(), strict=True):
            first, second = self.first_tops.get(doc_id, []), self.second_tops.get(doc_id, [])
            if first != second:
                found.append((-round(moved, 9), -len({*first} ^ {*second}), doc_id))
        return [doc_id for _, _, doc_id in sorted(found)[:count]]
