"""Which labels a search may find. Small where it travels: ids of the fewer ones, or a bit each.

Shapes: L labels, S ids, R rows of a part of the labels, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

BITS = 32  # of an id: with more than one id in so many labels a bit for each is smaller


class Selection:
    """Some of `labels` labels: those of `ids_S`, or all `but` those; int32, ascending, each once.

    Two of the same labels are equal, and may be keys of a dictionary.
    """

    def __init__(self, labels: int, ids_S: np.ndarray, but: bool = False) -> None:
        """The ids may come in any order and repeat. ValueError for one that no label has."""
        ids_S = np.unique(np.asarray(ids_S, np.int32))
        if len(ids_S) and not 0 <= ids_S[0] <= ids_S[-1] < labels:
            raise ValueError(f"label ids {ids_S[0]} to {ids_S[-1]} of {labels} labels")
        self.labels, self.ids_S, self.but = labels, ids_S, but
        if 2 * len(ids_S) + but > labels:  # the others are fewer, or as many and named
            self.ids_S = np.flatnonzero(~_mask(labels, ids_S)).astype(np.int32)
            self.but = not but

    def __len__(self) -> int:
        return self.labels - len(self.ids_S) if self.but else len(self.ids_S)

    @property
    def left_out(self) -> int:
        """How many labels are not in it."""
        return self.labels - len(self)

    @property
    def ids_left_out(self) -> np.ndarray:
        """Ids of the labels that are not in it, int32, ascending."""
        return self.ids_S if self.but else np.flatnonzero(~self.mask_L).astype(np.int32)

    @cached_property
    def mask_L(self) -> np.ndarray:
        """bool [L], true for labels in it."""
        return _mask(self.labels, self.ids_S) != self.but

    def holds(self, ids_K: np.ndarray) -> np.ndarray:
        """bool [K]: which of these ids are in it; padding is not."""
        place_K = np.searchsorted(self.ids_S, ids_K).clip(max=max(len(self.ids_S) - 1, 0))
        named_K = self.ids_S[place_K] == ids_K if len(self.ids_S) else np.zeros(len(ids_K), bool)
        return (named_K != self.but) & (ids_K >= 0)

    def count_between(self, start: int, end: int) -> int:
        """How many labels from `start` to before `end` are in it."""
        first, after = np.searchsorted(self.ids_S, (start, end))
        named = int(after - first)
        return end - start - named if self.but else named

    def rows_between(self, start: int, end: int) -> np.ndarray:
        """Those labels, ascending, counted from `start`: int64 [R]."""
        if self.but:
            return np.flatnonzero(self.mask_L[start:end])
        first, after = np.searchsorted(self.ids_S, (start, end))
        return self.ids_S[first:after].astype(np.int64) - start

    def __and__(self, other: Selection) -> Selection:
        """The labels that are in both."""
        if self.but and other.but:
            return Selection(self.labels, np.concatenate([self.ids_S, other.ids_S]), but=True)
        named, rest = (other, self) if self.but else (self, other)
        return Selection(self.labels, named.ids_S[rest.holds(named.ids_S)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @cached_property
    def _parts(self) -> tuple[int, bool, bytes]:
        return self.labels, self.but, self.ids_S.tobytes()

    def __reduce__(self) -> tuple[Any, ...]:
        """What goes to another process: ids, or bits where these are fewer bytes."""
        if len(self.ids_S) * BITS <= self.labels:
            return Selection, (self.labels, self.ids_S, self.but)
        return _of_bits, (self.labels, np.packbits(self.mask_L))


class Narrowed(Selection):
    """A selection without a few more labels; its ids are not made before they are asked for, as
    each of many documents may have one of these."""

    def __init__(self, base: Selection, without_F: np.ndarray) -> None:
        """`without_F` are label ids, ascending, each once."""
        self.labels, self.base = base.labels, base
        self.without_F = without_F[base.holds(without_F)]

    def __len__(self) -> int:
        return len(self.base) - len(self.without_F)

    def holds(self, ids_K: np.ndarray) -> np.ndarray:
        """As Selection."""
        return self.base.holds(ids_K) & ~np.isin(ids_K, self.without_F)

    @cached_property
    def whole(self) -> Selection:
        """The same as a selection of its own."""
        return self.base & Selection(self.labels, self.without_F, but=True)

    def __getattr__(self, name: str) -> Any:
        """The parts of a selection, which the rest of it is made from."""
        if name not in ("ids_S", "but"):
            raise AttributeError(name)
        return getattr(self.whole, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.whole.__reduce__()


def _mask(labels: int, ids_S: np.ndarray) -> np.ndarray:
    mask_L = np.zeros(labels, bool)
    mask_L[ids_S] = True
    return mask_L


def _of_bits(labels: int, bits: np.ndarray) -> Selection:
    return Selection(labels, np.flatnonzero(np.unpackbits(bits, count=labels)))


def all_in(selections: Sequence[Selection]) -> Selection | None:
    """The labels that are in each of some selections; None, all, without any."""
    found = None
    for one in selections:
        found = one if found is None else found & one
    return found
