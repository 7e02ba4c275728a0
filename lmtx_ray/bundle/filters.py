"""What filters select of a label set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from threading import Lock

import numpy as np

from lmtx_ray.bundle.searching import FEW
from lmtx_ray.corpus.filters import Filter, UnknownKeys
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.search.selection import Narrowed, Selection, all_in

KEPT = 16  # selections, the last ones: a job has few filters, or one for each row
EMPTY_ALLOW = "allow is an empty list"
NOTHING_LEFT = "no label fulfils the filter: allow, deny and under leave none"


class Filters:
    """Filters of one label set; what they select is kept for the next documents."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._kept: dict[tuple[Filter, ...], Selection] = {}
        self._selecting = Lock()

    def select(self, filters: Iterable[Filter]) -> Selection | None:
        """The labels that fulfil every one of some filters, None for all of them.

        Raises:
            UnknownKeys: Keys that are not in the label set.
        """
        each = {one: self._of((one,)) for one in filters if one}
        wide = tuple(one for one, selection in each.items() if selection.left_out > FEW)
        few = [selection.ids_left_out for one, selection in each.items() if one not in wide]
        base = self._of(wide) if wide else None
        if not few:
            return base
        without = np.unique(np.concatenate(few))
        if base is None:
            return Selection(len(self._labels), without, but=True)
        return Narrowed(base, without)

    def _of(self, asked: tuple[Filter, ...]) -> Selection:
        with self._selecting:
            found = self._kept.pop(asked, None)
            if found is None:
                found = all_in([part for one in asked for part in self._parts(one)])
                assert found is not None  # a filter that leaves something out has a part
            self._kept[asked] = found
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    def unknown(self, one: Filter) -> dict[str, list[str]]:
        """Keys that are not in the label set, by the filter's field."""
        wanted = _wanted(one)
        return _unknown(wanted, self._places(wanted))

    def _places(self, wanted: dict[str, list[str]]) -> dict[str, np.ndarray]:
        return {name: self._labels.places(keys) for name, keys in wanted.items()}

    def _parts(self, one: Filter) -> list[Selection]:
        wanted = _wanted(one)
        places = self._places(wanted)
        if unknown := _unknown(wanted, places):
            raise UnknownKeys(self._labels, unknown)
        total = len(self._labels)
        parts = [] if one.allow is None else [Selection(total, places["allow"])]
        parts += [Selection(total, places["deny"], but=True)] if one.deny else []
        if one.under:
            below = [self._labels.below(key) for key in wanted["under"]]
            parts.append(Selection(total, np.concatenate(below)))
        return parts


def _wanted(one: Filter) -> dict[str, list[str]]:
    return {name: sorted(getattr(one, name) or ()) for name in (f.name for f in fields(one))}


def _unknown(wanted: dict[str, list[str]], places: dict[str, np.ndarray]) -> dict[str, list[str]]:
    return {
        name: [key for key, place in zip(wanted[name], own.tolist(), strict=True) if place < 0]
        for name, own in places.items()
        if (own < 0).any()
    }


def why_none(filters: Iterable[Filter]) -> str:
    """Why filters that select no label do so."""
    empty = any(one.allow is not None and not one.allow for one in filters)
    return EMPTY_ALLOW if empty else NOTHING_LEFT
