"""Searches for documents of which each may have its own selection of labels: few searches, the same
answers.

Documents without a selection, or with one that leaves few labels out, are searched among all,
the latter for so many more. So are those whose selections leave few out of one of them
(`Narrowed`), among that. The others are searched among their own. Those that want as many of the
same are searched together: how widely an approximate index looks goes by how many are wanted, and
no document's answer may depend on what others want.
Shapes: B documents, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lmtx_ray.search.candidates import PADDING, Candidates
from lmtx_ray.search.selection import Narrowed, Selection

FEW = 64  # labels left out: that many more are found as fast
Selections = Sequence[Selection | None]


@dataclass(frozen=True)
class Search:
    """One search that is to be made, for the documents at `places`: the `k` best labels of a
    selection, of all if it is None."""

    places: list[int]
    k: int
    selection: Selection | None


def searches(selections: Selections, k_B: Sequence[int], all_k: int = 0) -> list[Search]:
    """What has to be searched so that each document's k best labels of its selection are known,
    and the `all_k` best of all labels for those documents that have a selection."""
    groups: dict[tuple[Selection | None, int], list[int]] = {}
    for place, (selection, k) in enumerate(zip(selections, k_B, strict=True)):
        if selection is None or len(selection):
            base, more = _base_of(selection)
            least = all_k if base is None else 0
            groups.setdefault((base, max(k + more, least)), []).append(place)
            if base is not None and all_k:
                groups.setdefault((None, all_k), []).append(place)
    return [Search(places, k, base) for (base, k), places in groups.items()]


def _base_of(selection: Selection | None) -> tuple[Selection | None, int]:
    """What a document is searched among, and how many more are looked for, as it may not have so
    many: a number of few values."""
    if selection is None or selection.left_out <= FEW:
        return None, _in_steps(0 if selection is None else selection.left_out)
    if isinstance(selection, Narrowed):
        return selection.base, _in_steps(len(selection.without_F))
    return selection, 0


def _in_steps(left_out: int) -> int:
    return -(-left_out // FEW) * FEW


def gathered(
    asked: Sequence[Search], found: Sequence[Candidates], selections: Selections, k: int
) -> Candidates:
    """The `k` best of each document's selection, ids_BK int32 and scores_BK float32."""
    ids_BK = np.full((len(selections), k), PADDING, np.int32)
    scores_BK = np.full((len(selections), k), -np.inf, np.float32)
    for search, (ids, scores) in zip(asked, found, strict=True):
        for row, place in enumerate(search.places):
            own = selections[place]
            if search.selection is None and own is not None and own.left_out > FEW:
                continue  # searched among all for the sake of its probabilities
            kept = ids[row] != PADDING if own is None else own.holds(ids[row])
            best = ids[row][kept][:k]
            ids_BK[place, : len(best)] = best
            scores_BK[place, : len(best)] = scores[row][kept][:k]
    return ids_BK, scores_BK


def among_all(
    asked: Sequence[Search], found: Sequence[Candidates], selections: Selections, all_k: int
) -> Candidates:
    """The `all_k` best of all labels, for the documents that were searched among all."""
    everything: Selections = [None] * len(selections)
    those = [
        (search, one) for search, one in zip(asked, found, strict=True) if search.selection is None
    ]
    return gathered([s for s, _ in those], [one for _, one in those], everything, all_k)


def part_of(
    asked: Sequence[Search], found: Sequence[Candidates], span: range
) -> tuple[list[Search], list[Candidates]]:
    """What was searched and found for the documents of a span of places, counted from its start."""
    searched, candidates = [], []
    for search, (ids, scores) in zip(asked, found, strict=True):
        rows = [row for row, place in enumerate(search.places) if place in span]
        places = [search.places[row] - span.start for row in rows]
        if places:
            searched.append(Search(places, search.k, search.selection))
            candidates.append((ids[rows], scores[rows]))
    return searched, candidates


def search_each(
    search: Callable[[Search], Candidates], selections: Selections, k: int
) -> Candidates:
    """The `k` best of each document's selection; `search` makes one search."""
    asked = searches(selections, [k] * len(selections))
    return gathered(asked, [search(one) for one in asked], selections, k)
