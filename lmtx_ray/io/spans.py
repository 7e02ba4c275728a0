"""Places in an array, told by the spans that they fill."""

from __future__ import annotations

import numpy as np


def ranges(firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """first, first + 1, … of each span after the other."""
    before = np.cumsum(lengths) - lengths
    places: np.ndarray = np.arange(lengths.sum()) + np.repeat(firsts - before, lengths)
    return places
