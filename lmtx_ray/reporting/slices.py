"""Common and rare labels: how many of them are found, which never come up and which always do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmtx_ray.reporting.pairs import TOP, Pairs

EDGES = (0, 1, 3, 10, 30, 100)  # accepted so often in training
NAMES = ("never", "1–2 times", "3–9 times", "10–29 times", "30–99 times", "100 times or more")
SHOWN = 10


@dataclass(frozen=True)
class Slice:
    """Labels that the judge accepted about equally often. Of `tags` given, `right` were right;
    of `wanted` right pairs `found` were among the tags (both None without gold)."""

    name: str
    labels: int
    tags: int
    right: int
    wanted: int | None
    found: int | None


@dataclass(frozen=True)
class LabelCount:
    """A label: how many documents it was given to, how often that was right (None: nobody said),
    and how many documents want it (None without gold)."""

    label: int
    accepted: int
    given: int
    right: int | None
    wanted: int | None


@dataclass(frozen=True)
class Firing:
    """Labels by how often they are among a document's tags. `always` are the most frequent ones,
    `never` the most wanted ones that never are."""

    labels: int
    fired: int
    always: tuple[LabelCount, ...]
    never: tuple[LabelCount, ...]


@dataclass(frozen=True)
class Counted:
    """int64 [L] counts of every label; `wanted_L` is None without gold."""

    accepted_L: np.ndarray
    given_L: np.ndarray
    judged_L: np.ndarray
    right_L: np.ndarray
    wanted_L: np.ndarray | None


def count(pairs: Pairs, accepted_L: np.ndarray, wanted_L: np.ndarray | None, limit: int) -> Counted:
    """How often each label is among the first tags, and right."""

    def of(kept_N: np.ndarray) -> np.ndarray:
        counts_L: np.ndarray = np.bincount(pairs.label_N[kept_N], minlength=len(accepted_L))
        return counts_L

    judged_N = (pairs.rank_N < limit) & ~np.isnan(pairs.true_N)
    return Counted(
        accepted_L,
        of(pairs.rank_N < TOP),
        of(judged_N),
        of(judged_N & (pairs.true_N == 1)),
        wanted_L,
    )


def slices(counted: Counted) -> list[Slice]:
    """By how often the judge accepted a label in training; empty ones are left out."""
    bin_L = np.searchsorted(EDGES, counted.accepted_L, side="right") - 1
    found = []
    for place, name in enumerate(NAMES):
        own = bin_L == place
        wanted = None if counted.wanted_L is None else int(counted.wanted_L[own].sum())
        right = int(counted.right_L[own].sum())
        tags = int(counted.judged_L[own].sum())
        if own.any():
            hit = None if wanted is None else right
            found.append(Slice(name, int(own.sum()), tags, right, wanted, hit))
    return found


def firing(counted: Counted) -> Firing:
    """Which labels come up always and which never."""
    given_L = counted.given_L
    weight_L = counted.accepted_L if counted.wanted_L is None else counted.wanted_L
    silent_L = np.where(given_L == 0, weight_L, 0)
    return Firing(
        len(given_L),
        int((given_L > 0).sum()),
        tuple(_of(counted, label) for label in _largest(given_L)),
        tuple(_of(counted, label) for label in _largest(silent_L)),
    )


def _largest(values_L: np.ndarray) -> list[int]:
    """The labels of the largest values above 0; of equal ones the first."""
    order = np.lexsort((np.arange(len(values_L)), -values_L))[:SHOWN]
    return [int(label) for label in order if values_L[label] > 0]


def _of(counted: Counted, label: int) -> LabelCount:
    judged = int(counted.judged_L[label])
    return LabelCount(
        label,
        int(counted.accepted_L[label]),
        int(counted.given_L[label]),
        int(counted.right_L[label]) if judged else None,
        None if counted.wanted_L is None else int(counted.wanted_L[label]),
    )
