"""A number with its interval, and the interval of a share of independent things."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

NORMAL = 1.959963984540054  # standard deviations that 95 % lie within


class Measured(NamedTuple):
    """A share, or a mean, with its 95 % interval."""

    value: float
    low: float
    high: float

    def told(self, name: str) -> dict[str, Any]:
        """{name: value, name_ci: [low, high]}, as files have it."""
        ends = [round(self.low, 6), round(self.high, 6)]
        return {name: round(self.value, 6), f"{name}_ci": ends}

    def widened(self, count: float) -> Measured:
        """A share with an interval that is at least as wide as Wilson's of so many independent
        things: where all or none are counted, resampling finds no other value."""
        low, high = wilson(self.value * count, count)
        return Measured(self.value, min(self.low, low), max(self.high, high))


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
