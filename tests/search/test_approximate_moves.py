"""Edited label sets over approximate indexes: shards that stay keep theirs, those that are written
get one, and what is found is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.search.approximate import settle
from lmtx_ray.search.approximate_file import approximate_name, wish_of
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.index_moves import move_index
from lmtx_ray.search.shard_file import shard_name
from lmtx_ray.search.tensor_file import overwrite
from lmtx_ray.search.threads import use_threads
from tests.search.test_approximate import DIMENSIONS, made

ROWS, WANTED = 18_000, 0.95


def edited(gone: np.ndarray, new: int) -> Moves:
    """Without the labels `gone`, and with `new` ones."""
    stays = np.setdiff1d(np.arange(ROWS), gone)
    before = np.concatenate([stays, np.full(new, GONE)]).astype(np.int32)
    return Moves(before, before == GONE, ROWS)


def moved(folder: Path, now: Path, moves: Moves, fresh: np.ndarray) -> LabelIndex:
    now.mkdir()
    for name, old in move_index(folder, now, moves, fresh).kept.items():
        (now / name).symlink_to(folder / old)
    return LabelIndex.load(now)


def test_an_edited_index_is_approximate_where_it_was(tmp_path: Path) -> None:
    use_threads(1)
    known, fresh = made(ROWS, 1), made(40, 3)
    before = tmp_path / "before"
    LabelIndex.build(known, 2).save(before)
    for number in range(2):
        settle(before, number, "ivf", WANTED)

    few = np.arange(0, ROWS, 1000)
    index = moved(before, tmp_path / "few", edited(few, 40), fresh)
    assert [shard.approximate is not None for shard in index.shards] == [True, True]
    assert (tmp_path / "few" / approximate_name(0)).is_symlink()
    assert not (tmp_path / "few" / approximate_name(1)).is_symlink()  # what is new joined that one
    assert wish_of(tmp_path / "few", 2) == ("ivf", WANTED)

    now = np.concatenate([np.delete(known, few, axis=0), fresh])
    exact, queries = LabelIndex.build(now), np.concatenate([made(30, 4), fresh])
    (ids, scores), (true, true_scores) = (one.search(queries, 50) for one in (index, exact))
    found = [np.isin(own, ids[row]).mean() for row, own in enumerate(true)]
    assert np.mean(found) >= WANTED
    assert np.array_equal(ids[30:, 0], len(now) - 40 + np.arange(40))
    assert np.array_equal(scores[30:, 0], true_scores[30:, 0])


def test_a_shard_of_which_much_is_gone_is_written_with_an_index_of_its_own(tmp_path: Path) -> None:
    use_threads(1)
    known, none = made(ROWS, 1), np.zeros((0, DIMENSIONS), np.float32)
    before = tmp_path / "before"
    LabelIndex.build(known).save(before)
    settle(before, 0, "ivf", WANTED)
    index = moved(before, tmp_path / "half", edited(np.arange(0, ROWS, 2), 0), none)
    (shard,) = index.shards
    assert (len(shard), shard.labels_L) == (ROWS // 2, None)
    assert shard.approximate is not None
    assert np.array_equal(index.search(known[1:200:2], 1)[0][:, 0], np.arange(100))

    index = moved(before, tmp_path / "little", edited(np.arange(1000, ROWS), 0), none)
    assert len(index) == 1000
    assert index.shards[0].approximate is None
    assert (tmp_path / "little" / shard_name(0)).exists()
    assert not (tmp_path / "little" / approximate_name(0)).exists()


def test_a_shard_whose_index_is_of_another_version_is_written_anew(tmp_path: Path) -> None:
    use_threads(1)
    known = made(ROWS, 1)
    before = tmp_path / "before"
    LabelIndex.build(known).save(before)
    settle(before, 0, "ivf", WANTED)
    overwrite(before / approximate_name(0), "ivf", np.zeros(1, np.int64))
    index = moved(before, tmp_path / "now", edited(np.arange(5), 0), known[:0])
    assert index.shards[0].approximate is not None
    assert np.array_equal(index.search(known[5:100], 1)[0][:, 0], np.arange(95))
