"""Where the labels of an edited label set were before the edit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GONE = -1


@dataclass(frozen=True)
class Moves:
    """Of L labels now and L0 before.

    `before_L` int32 is the place that a label of this key had, GONE where there was none.
    `fresh_L` bool says which labels have texts that were not theirs before: what is computed from
    texts is computed anew for these and for no other. Labels that stay keep their order.
    """

    before_L: np.ndarray
    fresh_L: np.ndarray
    labels_before: int  # L0

    def now(self) -> np.ndarray:
        """int32 [L0]: the place of each earlier label, by its key; GONE where it is no more."""
        return _inverse(self.before_L, np.ones(len(self.before_L), bool), self.labels_before)

    def reused(self) -> np.ndarray:
        """int32 [L0]: the same, and GONE too where the text is another now."""
        return _inverse(self.before_L, ~self.fresh_L, self.labels_before)

    def fresh(self) -> np.ndarray:
        """Places of the labels to compute anew, ascending."""
        return np.flatnonzero(self.fresh_L)


def _inverse(before_L: np.ndarray, counted_L: np.ndarray, labels_before: int) -> np.ndarray:
    places = np.full(labels_before, GONE, np.int32)
    known = np.flatnonzero((before_L != GONE) & counted_L)
    places[before_L[known]] = known
    return places
