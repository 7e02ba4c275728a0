"""An index brought to an edited label set, of the vectors of fresh labels alone.

A shard stays the file that it is, also where some of its rows lead nowhere any more: fresh vectors
go into a shard behind the others. The last one is written again together with them as long as it is
small, and any shard once much of it leads nowhere, so that neither grows without end. A shard that
is written gets an approximate index of the kind that the others have.
Shapes: R rows of all shards, L labels, D dimensions, F vectors of fresh labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmtx_ray.corpus.label_moves import Moves
from lmtx_ray.search.approximate_file import approximate_name, is_outdated, wish_of
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.index_choice import EXACT
from lmtx_ray.search.row_labels import load_row_labels, save_row_labels
from lmtx_ray.search.shard_file import ROWS, read_shard, shard_files, shard_name, write_shard

SMALL = 1 << 16  # rows of a last shard that is written again with what is new
MOST_DEAD = 0.25  # of a shard's rows


@dataclass(frozen=True)
class NewIndex:
    """`kept` says which file of the earlier index is used under which name; the others were
    written. `rows` are those of each shard, `written` those of the files that were written."""

    kept: dict[str, str]
    rows: list[int]
    written: int


@dataclass(frozen=True)
class _Shard:
    """An earlier shard: its file, its vectors (mapped), and the labels that its rows lead to now,
    PADDING for none."""

    name: str
    vectors_RD: np.ndarray
    labels_R: np.ndarray

    @property
    def live(self) -> np.ndarray:
        """Rows that lead to a label."""
        return np.flatnonzero(self.labels_R != PADDING)

    @property
    def is_worn(self) -> bool:
        """Whether too much of it leads nowhere."""
        return len(self.labels_R) - len(self.live) > MOST_DEAD * len(self.labels_R)


@dataclass(frozen=True)
class _Fresh:
    labels_F: np.ndarray
    vectors_FD: np.ndarray


def move_index(
    before: Path,
    now: Path,
    moves: Moves,
    vectors_FD: np.ndarray,
    labels_F: np.ndarray | None = None,
) -> NewIndex:
    """Write into the folder `now` what the index in the folder `before` becomes and has not.

    Args:
        vectors_FD: Of the fresh labels, in their order.
        labels_F: The label of each of them; one for each fresh label if None.

    Raises:
        ValueError: A vector is not finite, or has another width than those that are there.
    """
    labels_F = moves.fresh() if labels_F is None else labels_F
    shards, fresh = _shards(before, moves), _Fresh(labels_F, vectors_FD)
    wish = wish_of(before, len(shards))
    none = _Fresh(fresh.labels_F[:0], vectors_FD[:0])
    joins = len(shards[-1].labels_R) < SMALL and len(fresh.labels_F) > 0
    kept: dict[str, str] = {}
    labels: list[np.ndarray] = []
    written = 0
    for place, shard in enumerate(shards):
        name, with_fresh = shard_name(len(labels)), joins and place == len(shards) - 1
        if with_fresh or shard.is_worn or is_outdated(before, place):
            labels_W = _write(now / name, shard, fresh if with_fresh else none)
            if len(labels_W):
                _settle(now, len(labels), wish)
                labels.append(labels_W)
                written += len(labels_W)
        else:
            kept[name] = shard.name
            if (before / approximate_name(place)).exists():
                kept[approximate_name(len(labels))] = approximate_name(place)
            labels.append(shard.labels_R)
    if len(fresh.labels_F) and not joins:
        empty = _Shard("", vectors_FD[:0], fresh.labels_F[:0])
        labels_W = _write(now / shard_name(len(labels)), empty, fresh)
        _settle(now, len(labels), wish)
        labels.append(labels_W)
        written += len(fresh.labels_F)
    labels_R = np.concatenate(labels)
    if not np.array_equal(labels_R, np.arange(len(labels_R))):
        save_row_labels(now, labels_R)
    return NewIndex(kept, [len(part) for part in labels], written)


def _settle(now: Path, number: int, wish: tuple[str, float]) -> None:
    if wish[0] != EXACT:
        from lmtx_ray.search.approximate import settle

        settle(now, number, *wish)


def _shards(before: Path, moves: Moves) -> list[_Shard]:
    files = shard_files(before)
    vectors = [read_shard(file).vectors_LD for file in files]
    ends = np.cumsum([len(part) for part in vectors])
    labels_R = load_row_labels(before)
    labels_R = np.arange(ends[-1]) if labels_R is None else labels_R
    now = np.append(moves.reused(), PADDING)  # the last entry is what PADDING finds
    parts = np.split(now[labels_R].astype(np.int32), ends[:-1])
    return [
        _Shard(file.name, own, part) for file, own, part in zip(files, vectors, parts, strict=True)
    ]


def _write(path: Path, shard: _Shard, fresh: _Fresh) -> np.ndarray:
    """Write what lives of a shard and what is fresh, ordered by label, if there is any; the labels
    of the rows."""
    live = shard.live
    labels_W = np.concatenate([shard.labels_R[live], fresh.labels_F]).astype(np.int32)
    order_W = np.argsort(labels_W, kind="stable")

    def pieces() -> Iterator[np.ndarray]:
        for start in range(0, len(order_W), ROWS):
            rows = order_W[start : start + ROWS]
            own = rows < len(live)
            piece = np.empty((len(rows), fresh.vectors_FD.shape[1]), np.float32)
            piece[own] = shard.vectors_RD[live[rows[own]]]
            piece[~own] = fresh.vectors_FD[rows[~own] - len(live)]
            yield piece

    if len(labels_W):
        write_shard(path, pieces(), (len(labels_W), fresh.vectors_FD.shape[1]))
    return labels_W[order_W]
