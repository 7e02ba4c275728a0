"""The interval of a share of independent things."""

from __future__ import annotations

import math

NORMAL = 1.959963984540054  # standard deviations that 95 % lie within


def wilson(right: float, count: float) -> tuple[float, float]:
    """95 % interval of the share of `right` among `count` things (Wilson 1927); [0, 1] without any.

    A bootstrap of things that are all right, or all wrong, would leave no doubt; this does.
    """
    if not count:
        return 0.0, 1.0
    share, square = right / count, NORMAL**2
    middle = share + square / (2 * count)
    half = NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    scale = 1 + square / count
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)
