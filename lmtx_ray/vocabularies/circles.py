"""The hierarchy of a label set: parents that are no label, and labels above themselves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lmtx_ray.vocabularies.findings import Finding
from lmtx_ray.vocabularies.repeats import Names

MOST_SHOWN = 10  # labels of a circle


def odd_parents(labels: pa.Table, names: Names) -> Iterator[Finding]:
    """Of a `labels` table in the order of `names`."""
    parents = labels["parent_keys"].combine_chunks()
    own = pc.list_parent_indices(parents)
    above_key = pc.list_flatten(parents)
    above = pc.index_in(above_key, value_set=labels["label_key"].combine_chunks())
    for place in np.flatnonzero(pc.is_null(above).to_numpy(zero_copy_only=False)).tolist():
        key = above_key[place].as_py()
        yield names.finding("unknown_parent", (own[place].as_py(),), f"its parent {key!r}")
    known = pc.is_valid(above)
    edges = own.filter(known).to_numpy(), above.filter(known).to_numpy()
    yield from _circles(np.asarray(edges[0], np.int64), np.asarray(edges[1], np.int64), names)


def _circles(below_E: np.ndarray, above_E: np.ndarray, names: Names) -> Iterator[Finding]:
    """One finding for each set of labels that are all above each other."""
    for place in np.unique(below_E[below_E == above_E]).tolist():
        yield names.finding("circle", (place,), "it is its own parent")
    count = len(names.keys)
    graph = coo_array((np.ones(len(below_E), np.int8), (below_E, above_E)), shape=(count, count))
    _, part_L = connected_components(graph, directed=True, connection="strong")
    inside_E = (part_L[below_E] == part_L[above_E]) & (below_E != above_E)
    up: dict[int, int] = {}
    for below, above in zip(below_E[inside_E].tolist(), above_E[inside_E].tolist(), strict=True):
        up.setdefault(below, above)
    round_about = np.unique(below_E[inside_E])  # each has a label above it in its own part
    round_about = round_about[np.argsort(part_L[round_about], kind="stable")]
    ends = np.flatnonzero(np.diff(part_L[round_about])) + 1
    for members in np.split(round_about, ends) if len(round_about) else ():
        way = _way(int(members[0]), up)
        shown = " > ".join(names.keys[place] for place in way[:MOST_SHOWN])
        detail = shown + (" > …" if len(way) > MOST_SHOWN else "")
        yield names.finding("circle", members.tolist(), detail)


def _way(start: int, up: dict[int, int]) -> list[int]:
    """From a label upwards until one comes again; a circle, perhaps with a way to it before."""
    seen: dict[int, int] = {}
    while start not in seen:
        seen[start] = len(seen)
        start = up[start]
    circle = list(seen)[seen[start] :]
    return [*circle, start]
