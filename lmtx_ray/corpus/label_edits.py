"""A label set with some labels added, changed and removed.

Labels that stay keep their order, the places of removed ones close up, and new ones go to the end
in the order in which they came. A key that was removed before and comes back goes to the end too.
Shapes: L labels now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import LABEL_FURTHER
from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.corpus.removed_labels import KNOWN, Removed

SEEN = ("text", "aliases")  # what search goes by
BETWEEN = "\x1f"  # of the items of a list that is compared as one text
NO_LABELS = schemas.LABELS.empty_table()


@dataclass(frozen=True)
class Wishes:
    """What is to become of a label set: rows of the `labels` contract (their ids count for nothing)
    with keys that it has not and that it has, and keys that are to go."""

    added: pa.Table = field(default_factory=lambda: NO_LABELS)
    changed: pa.Table = field(default_factory=lambda: NO_LABELS)
    gone: Sequence[str] = ()


@dataclass(frozen=True)
class Edited:
    """The `labels` table as it is now, what became of each place, all keys that were removed, and
    the numbers: `back` of the added ones had been removed before."""

    labels: pa.Table
    moves: Moves
    removed: Removed
    added: int
    changed: int
    gone: int
    back: int

    @property
    def unchanged(self) -> int:
        """Labels of which nothing is different."""
        return len(self.labels) - self.added - self.changed

    def counts(self) -> dict[str, int]:
        """The numbers by name."""
        return {
            "added": self.added,
            "brought_back": self.back,
            "changed": self.changed,
            "removed": self.gone,
            "unchanged": self.unchanged,
        }

    def said(self) -> str:
        """The numbers in words."""
        back = f" ({self.back:,} of them back again)" if self.back else ""
        return (
            f"{self.added:,} added{back}, {self.changed:,} changed, {self.gone:,} removed, "
            f"{self.unchanged:,} unchanged"
        )


def edit(labels: pa.Table, removed: Removed, wishes: Wishes, day: str) -> Edited:
    """Do what is wished; `day` is what removed keys are marked with. Keys of `wishes` are there, or
    not, as they have to be.

    Raises:
        ValueError: No label would be left.
    """
    keys = labels["label_key"]
    at = _places(wishes.changed["label_key"], keys)
    stays_L0 = np.ones(len(labels), bool)
    stays_L0[_places(pa.array(wishes.gone, pa.string()), keys)] = False
    kept, new = np.flatnonzero(stays_L0), len(wishes.added)
    if not len(kept) + new:
        raise ValueError("every label would be removed: a bundle needs at least one")
    source_L0 = np.arange(len(labels))
    source_L0[at] = len(labels) + np.arange(len(at))
    end = len(labels) + len(at)
    rows_L = np.concatenate([source_L0[kept], np.arange(end, end + new)])
    parts = [labels, wishes.changed, wishes.added]
    now = pa.concat_tables([part.select(KNOWN) for part in parts]).take(pa.array(rows_L))
    fresh_L0 = np.zeros(len(labels), bool)
    fresh_L0[at] = _any_differ(labels.take(pa.array(at)), wishes.changed, SEEN)
    moves = Moves(
        np.concatenate([kept, np.full(new, GONE)]).astype(np.int32),
        np.concatenate([fresh_L0[kept], np.ones(new, bool)]),
        len(labels),
    )
    added = wishes.added["label_key"].combine_chunks()
    rest = removed.without(added)
    return Edited(
        _numbered(now),
        moves,
        rest.with_labels(labels.filter(pa.array(~stays_L0)), day),
        added=new,
        changed=len(at),
        gone=int((~stays_L0).sum()),
        back=len(removed) - len(rest),
    )


def to_become(labels: pa.Table, wanted: pa.Table) -> Wishes:
    """What makes a label set one that is wanted: by key, whatever the order is. Of descriptions,
    aliases and parents those that `wanted` says of no label at all stay as they are."""
    at = pc.index_in(wanted["label_key"], value_set=_one(labels["label_key"])).combine_chunks()
    known = wanted.filter(at.is_valid())
    before = labels.take(at.drop_null())
    for name in (name for name in LABEL_FURTHER if _says_nothing(wanted[name])):
        known = known.set_column(known.schema.get_field_index(name), name, before[name])
    differs = _any_differ(before, known, KNOWN)
    stays = pc.is_in(labels["label_key"], value_set=_one(wanted["label_key"]))
    gone = labels["label_key"].filter(pc.invert(stays)).to_pylist()
    return Wishes(wanted.filter(at.is_null()), known.filter(pa.array(differs)), gone)


def _says_nothing(column: pa.ChunkedArray) -> bool:
    return not pc.any(pc.not_equal(_as_text(column), "")).as_py()


def _numbered(labels: pa.Table) -> pa.Table:
    numbers = pa.array(np.arange(len(labels), dtype=np.int32))
    return schemas.conform(labels.append_column("label_id", numbers), schemas.LABELS)


def _places(keys: pa.Array | pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    found = pc.index_in(keys, value_set=_one(among))
    assert not found.null_count
    places: np.ndarray = found.to_numpy().astype(np.int64)
    return places


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What is compared: a list as one text, nothing as an empty one."""
    lists = pa.types.is_list(column.type)
    return pc.fill_null(pc.binary_join(column, BETWEEN) if lists else column, "")


def _any_differ(before: pa.Table, now: pa.Table, names: Sequence[str]) -> np.ndarray:
    """bool: of each row, whether any of some columns is another."""
    differs = np.zeros(len(now), bool)
    for name in names:
        differs |= _differ(_as_text(before[name]), _as_text(now[name]))
    return differs


def _differ(before: pa.ChunkedArray, now: pa.ChunkedArray) -> np.ndarray:
    differ: np.ndarray = pc.not_equal(_one(before), _one(now)).to_numpy(zero_copy_only=False)
    return differ
