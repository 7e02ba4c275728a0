"""What tags look like where nobody says: their number and their least probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

UNLIKELY = "no tag has a probability of"  # how a reason begins of tags that were all left out


@dataclass(frozen=True)
class Defaults:
    """Most tags of a document, and their least probability, in [0, 1]."""

    top_k: int = 5
    min_probability: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for what no tags can have."""
        check_top_k(self.top_k)
        check_probability(self.min_probability)

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Defaults:
        """Those of a bundle.json."""
        return cls(**description.get("defaults", {}))

    def or_else(self, top_k: int | None, min_probability: float | None) -> Defaults:
        """What was asked for, and these where nothing was.

        Raises:
            ValueError: See the class.
        """
        return Defaults(
            self.top_k if top_k is None else top_k,
            self.min_probability if min_probability is None else min_probability,
        )


def check_top_k(top_k: int) -> None:
    """Raises ValueError below 1, and for what is no whole number."""
    if not isinstance(top_k, Integral):
        raise ValueError(f"top_k is {top_k!r}, a whole number is needed")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}, at least 1 is needed")


def check_probability(value: float) -> None:
    """Raises ValueError outside 0 to 1."""
    if not 0.0 <= value <= 1.0:  # nor for nan
        hint = f"; for {value:g} per cent that is {value / 100:g}" if 1 < value <= 100 else ""
        raise ValueError(f"min_probability is {value:g}, between 0 and 1 is needed{hint}")
