"""Which labels are below a label, by the parents that labels name.

Shapes: L labels, E pairs of a label and a parent that is in the set.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.io.spans import ranges


class Hierarchy:
    """Children of every label, as arrays: a million labels have no objects here."""

    def __init__(self, children_E: np.ndarray, starts_L1: np.ndarray) -> None:
        """Children of label l are children_E[starts_L1[l] : starts_L1[l + 1]], int32."""
        self._children_E, self._starts_L1 = children_E, starts_L1

    @classmethod
    def of(cls, keys: pa.Array, parents: pa.Array) -> Hierarchy:
        """Of label keys, and a list of parents' keys for each; parents that are no labels count for
        nothing."""
        children_E = pc.list_parent_indices(parents)
        parents_E = pc.index_in(pc.list_flatten(parents), value_set=keys)
        there_E = parents_E.is_valid().to_numpy(zero_copy_only=False)
        parents_E = parents_E.fill_null(0).to_numpy(zero_copy_only=False)[there_E]
        children_E = children_E.to_numpy(zero_copy_only=False)[there_E].astype(np.int32)
        counts_L = np.bincount(parents_E, minlength=len(keys))
        order_E = np.argsort(parents_E, kind="stable")
        return cls(children_E[order_E], np.concatenate([[0], np.cumsum(counts_L)]))

    def below(self, label: int) -> np.ndarray:
        """Children, their children and so on, int32, ascending; the label itself only where a
        circle leads back to it."""
        seen_L = np.zeros(len(self._starts_L1) - 1, bool)
        front = np.array([label])
        while len(front):
            found = self._children(front)
            front = np.unique(found[~seen_L[found]])
            seen_L[front] = True
        return np.flatnonzero(seen_L).astype(np.int32)

    def _children(self, labels_F: np.ndarray) -> np.ndarray:
        starts_F, ends_F = self._starts_L1[labels_F], self._starts_L1[labels_F + 1]
        children: np.ndarray = self._children_E[ranges(starts_F, ends_F - starts_F)]
        return children
