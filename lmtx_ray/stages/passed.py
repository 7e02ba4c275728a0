"""What the stages of a chain hand on for a unit, as a row of Arrow: vectors, and the best so far.

A unit is one row, as Ray Data cuts and joins tables between rows only. It holds no text: who needs
that reads the unit's input again, which costs little beside the encoder.
Shapes: N documents of the unit, D dimensions, B documents of a search, K found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.searching import Search
from lmtx_ray.io.units import Unit
from lmtx_ray.search.candidates import Candidates
from lmtx_ray.search.selection import Selection

SEARCH = pa.struct(
    {
        "places": pa.large_binary(),
        "k": pa.int32(),
        "labels": pa.int32(),  # of the selection, null where there is none
        "but": pa.bool_(),
        "selected": pa.large_binary(),
        "ids": pa.large_binary(),
        "scores": pa.large_binary(),
    }
)
PASSED = pa.schema(
    {
        "unit": pa.string(),
        "target": pa.int32(),
        "receipt": pa.string(),  # where it is through: as JSON, or what went wrong with it
        "dimensions": pa.int32(),
        "vectors": pa.large_binary(),
        "searches": pa.list_(SEARCH),
    }
)


@dataclass(frozen=True)
class Passed:
    """A unit and the place of its target; once they are known, vectors float32 [N, D] of its
    documents, what is to be searched for them, and what each of the `searches` found among the
    shards so far."""

    unit: Unit
    target: int
    vectors_ND: np.ndarray
    searches: Sequence[Search] = ()
    found: Sequence[Candidates] = ()

    def begun(self, vectors_ND: np.ndarray, searches: Sequence[Search]) -> Passed:
        """The same before the first shard."""
        found = [_nothing(len(one.places)) for one in searches]
        return replace(self, vectors_ND=vectors_ND, searches=searches, found=found)

    def to_row(self) -> dict[str, Any]:
        """As a row of PASSED."""
        searches = [
            _search_row(search, found)
            for search, found in zip(self.searches, self.found, strict=True)
        ]
        return {
            **row_of(self.unit, self.target),
            "dimensions": self.vectors_ND.shape[1],
            "vectors": np.ascontiguousarray(self.vectors_ND, np.float32).tobytes(),
            "searches": searches,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Passed:
        """What `to_row` gave; a unit without vectors where no stage had it yet."""
        named = Unit.from_dict(json.loads(row["unit"])), row["target"]
        if row.get("vectors") is None:
            return cls(*named, np.zeros((0, 1), np.float32))
        vectors = np.frombuffer(row["vectors"], np.float32)
        parts = [_search_of(one) for one in row["searches"]]
        searches, found = [search for search, _ in parts], [found for _, found in parts]
        return cls(*named, vectors.reshape(-1, row["dimensions"]), searches, found)


def row_of(unit: Unit, target: int) -> dict[str, Any]:
    """A unit that no stage had yet."""
    return {"unit": json.dumps(unit.to_dict()), "target": target}


def _nothing(rows: int) -> Candidates:
    return np.zeros((rows, 0), np.int32), np.zeros((rows, 0), np.float32)


def _search_row(search: Search, found: Candidates) -> dict[str, Any]:
    selection = search.selection
    return {
        "places": np.array(search.places, np.int32).tobytes(),
        "k": search.k,
        "labels": None if selection is None else selection.labels,
        "but": None if selection is None else selection.but,
        "selected": None if selection is None else selection.ids_S.tobytes(),
        "ids": found[0].tobytes(),
        "scores": found[1].tobytes(),
    }


def _search_of(row: Mapping[str, Any]) -> tuple[Search, Candidates]:
    places = np.frombuffer(row["places"], np.int32).tolist()
    ids = np.frombuffer(row["ids"], np.int32)
    ids_BK = ids.reshape(len(places), len(ids) // max(len(places), 1))
    scores_BK = np.frombuffer(row["scores"], np.float32).reshape(ids_BK.shape)
    selection = None
    if row["labels"] is not None:
        ids_S = np.frombuffer(row["selected"], np.int32)
        selection = Selection(row["labels"], ids_S, row["but"])
    return Search(places, row["k"], selection), (ids_BK, scores_BK)
