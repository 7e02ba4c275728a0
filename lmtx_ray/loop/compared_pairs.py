"""Pairs that count on no side when two things are compared: of a file, or of what runs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus.self_matches import Pairs, without
from lmtx_ray.loop.matching import Numbering
from lmtx_ray.loop.self_matching import (
    count_labels_of,
    gold_without,
    numbered_pairs,
    pairs_of_finished,
)
from lmtx_ray.loop.sides import Side


@dataclass(frozen=True)
class Never:
    """Which pairs do not count: those of a file, with the ids of its rows (None: of the first run's
    test documents), or, without a file, what the runs say, where gold is their `own`."""

    file: str | None
    row_ids: Sequence[str] | None
    own: bool

    def pairs(self, sides: Sequence[Side], numbering: Numbering) -> Pairs:
        """By the numbers of labels. Raises as `self_matching.numbered_pairs`."""
        runs = [side for side in sides if side.run]
        if self.file is not None and self.row_ids is not None and (numbering.strict or not runs):
            return numbered_pairs(numbering, self.file, self.row_ids)
        if self.file is not None:
            return self._of_run(runs[0], numbering)
        found: dict[str, frozenset[int]] = {}
        for side in runs if self.own else ():
            for doc_id, labels in self._of_run(side, numbering).items():
                found[doc_id] = found.get(doc_id, frozenset()) | labels
        return found

    def _of_run(self, side: Side, numbering: Numbering) -> Pairs:
        assert side.run is not None
        pairs = pairs_of_finished(side.run, self.file, self.row_ids)
        return {
            doc_id: frozenset(numbering.number(side.names.key(label)) for label in labels)
            for doc_id, labels in pairs.items()
        }


def left_out(
    never: Pairs, gold: Mapping[str, Sequence[int]], ranked: Sequence[pa.Table]
) -> tuple[dict[str, list[int]], list[pa.Table], dict[str, Any]]:
    """Gold and both sides' tables without the pairs, and {"filtered": {"pairs": all of them, "a",
    "b", "gold": how many each had}}, or nothing where there are none."""
    if not never:
        return {doc_id: list(labels) for doc_id, labels in gold.items()}, list(ranked), {}
    kept, left = [without(table, never) for table in ranked], gold_without(gold, never)
    a, b = (
        count_labels_of(before) - count_labels_of(after)
        for before, after in zip(ranked, kept, strict=True)
    )
    missing = sum(map(len, gold.values())) - sum(map(len, left.values()))
    pairs = sum(map(len, never.values()))
    return left, kept, {"filtered": {"pairs": pairs, "a": a, "b": b, "gold": missing}}
