"""Tags that people looked at, drawn from all tags by bands of probability: how many of all are
right, with intervals, and from which probability on few are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.evaluation.intervals import wilson

BANDS = 10


def band_of(probability: float | None) -> str:
    """The tenth that a probability is in, as "0.7-0.8"; empty for none."""
    if probability is None:
        return ""
    tenth = min(int(probability * BANDS + 1e-9), BANDS - 1)
    return f"{tenth / BANDS:.1f}-{(tenth + 1) / BANDS:.1f}"


def allot(population: Mapping[str, int], size: int) -> dict[str, int]:
    """How many to draw of each band: the same of each, as far as it has them; what small bands
    leave is spread over the others."""
    drawn = dict.fromkeys(population, 0)
    left = min(size, sum(population.values()))
    while left:
        open_bands = [band for band in sorted(population) if drawn[band] < population[band]]
        share = max(left // len(open_bands), 1)
        for band in reversed(open_bands):  # the likeliest first: what a single one more is best for
            more = min(share, population[band] - drawn[band], left)
            drawn[band] += more
            left -= more
    return drawn


@dataclass(frozen=True)
class Band:
    """Of `tags` tags in a band of probability people looked at some and found some right."""

    name: str
    tags: int
    looked_at: int
    right: int

    @property
    def lowest(self) -> float:
        """Where the band begins; 0 for the one without probabilities."""
        return float(self.name.split("-")[0]) if self.name else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Counts, and the share that is right with its interval."""
        precision = self.right / self.looked_at if self.looked_at else None
        ends = wilson(self.right, self.looked_at) if self.looked_at else None
        return {
            "band": self.name,
            "tags": self.tags,
            "reviewed": self.looked_at,
            "right": self.right,
            "precision": None if precision is None else round(precision, 4),
            "precision_ci": None if ends is None else [round(end, 4) for end in ends],
        }


def together(bands: Sequence[Band]) -> tuple[float, float, float] | None:
    """(share, low, high) of right tags in all bands, each weighed by its tags. The interval comes
    from the bands' own ones (MOVER, Zou and Donner 2008), so that bands in which all or no tags are
    right are not taken for sure. None where nobody looked at a tag; bands without one are left out.
    """
    seen = [band for band in bands if band.looked_at and band.tags]
    total = sum(band.tags for band in seen)
    if not total:
        return None
    share = below = above = 0.0
    for band in seen:
        weight, own = band.tags / total, band.right / band.looked_at
        low, high = wilson(band.right, band.looked_at)
        share += weight * own
        below += (weight * (own - low)) ** 2
        above += (weight * (high - own)) ** 2
    return share, max(share - math.sqrt(below), 0.0), min(share + math.sqrt(above), 1.0)


def least_probability(bands: Sequence[Band], wrong_at_most: float) -> dict[str, Any]:
    """From which probability on at most such a share of tags is wrong: `threshold` by what was
    found, and `sure_threshold` where the interval's lower end says so too; None where no band gets
    there. Each is the beginning of a band."""
    found: dict[str, Any] = {"wrong_at_most": wrong_at_most}
    found |= {"threshold": None, "sure_threshold": None}
    total = sum(band.tags for band in bands)
    for start in sorted({band.lowest for band in bands if band.name}, reverse=True):
        kept = [band for band in bands if band.name and band.lowest >= start]
        told = together(kept)
        if told is None:
            continue
        share, low, high = told
        if share >= 1 - wrong_at_most:
            found |= {
                "threshold": start,
                "precision": round(share, 4),
                "precision_ci": [round(low, 4), round(high, 4)],
                "share_of_tags": round(sum(band.tags for band in kept) / total, 4),
            }
        if low >= 1 - wrong_at_most:
            found["sure_threshold"] = start
    return found
