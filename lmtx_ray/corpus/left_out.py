"""Rows of the label files that are no labels, and what that means for gold by index."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from lmtx_ray.corpus.lines import Row
from lmtx_ray.corpus.reasons import MOST_SHOWN, Reasons

LEFT_OUT = "left_out"  # field of the label rejects' manifest: places of rows in the files


@dataclass
class LeftOut:
    """Bad rows of a label set: rows of the `rejects` contract, and their places among all rows,
    ascending."""

    rejects: list[Row] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def reasons(self) -> Reasons:
        """What was wrong with them, in short."""
        return Reasons.of(self.rejects[:MOST_SHOWN], len(self.rejects))


def label_at(place: int, left_out: Sequence[int]) -> int | None:
    """The label id of a row of the label files, counted from 0 over all of them; None for one that
    was left out. `left_out` are the places of those, ascending."""
    before = bisect_left(left_out, place)
    is_out = before < len(left_out) and left_out[before] == place
    return None if is_out else place - before
