"""Indexes brought to an edited label set are those that are built anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.corpus.label_words import LabelWords, index_table
from lmtx_ray.corpus.label_words_moves import moved as moved_words
from lmtx_ray.search import index_moves
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.index_moves import move_index
from lmtx_ray.search.memory import Remembered
from lmtx_ray.search.shard_file import shard_name, write_shard

NAMES = "heart lung heart-rate lungs of the skin über 心臓病 bone B12 x".split()
TEXT = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(" ".join)
KEPT = st.tuples(TEXT, st.sampled_from(["stays", "changes", "goes"]))


def edit_of(kept: list[tuple[str, str]], new: list[str]) -> tuple[list[str], list[str], Moves]:
    """(texts before, texts now, what moved)."""
    before = [text for text, _ in kept]
    stays = [place for place, (_, what) in enumerate(kept) if what != "goes"]
    changed = [kept[place][1] == "changes" for place in stays]
    now = [f"{before[p]} skin" if c else before[p] for p, c in zip(stays, changed, strict=True)]
    places = np.array([*stays, *[GONE] * len(new)], np.int32)
    fresh = np.array([*changed, *[True] * len(new)], bool)
    return before, [*now, *new], Moves(places, fresh, len(before))


def keys_of(before: list[str], moves: Moves) -> tuple[list[str], list[str]]:
    keys = [f"K{n} lung" for n in range(len(before))]
    now = [keys[p] if p != GONE else f"N{n}" for n, p in enumerate(moves.before_L.tolist())]
    return keys, now


def columns(*lists: list[str]) -> list[pa.LargeStringArray]:
    return [pa.array(texts, pa.large_string()) for texts in lists]


@settings(deadline=None, max_examples=60)
@given(st.lists(KEPT, min_size=1, max_size=12), st.lists(TEXT, max_size=4))
def test_the_index_of_label_words_is_the_one_made_anew(
    kept: list[tuple[str, str]], new: list[str]
) -> None:
    before, now, moves = edit_of(kept, new)
    keys, keys_now = keys_of(before, moves)
    old = LabelWords.of(index_table(*columns(before, keys)))
    texts, keys_after = columns(now, keys_now)
    made = moved_words(old, moves, texts, now.__getitem__, keys_now.__getitem__)
    assert made.equals(index_table(texts, keys_after))


def vectors(rows: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def saved(folder: Path, vectors_LD: np.ndarray, shards: int) -> Path:
    folder.mkdir()
    for number, part in enumerate(np.array_split(vectors_LD, shards)):
        write_shard(folder / shard_name(number), [part], part.shape)
    return folder


def linked(before: Path, now: Path, kept: dict[str, str]) -> LabelIndex:
    for name, old in kept.items():
        (now / name).symlink_to(before / old)
    return LabelIndex.load(now)


@pytest.mark.parametrize("small", [0, 1 << 16])
def test_an_index_answers_as_one_of_all_vectors(
    tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_moves, "SMALL", small)
    generator, old = np.random.default_rng(5), vectors(40, 1)
    folder = saved(tmp_path / "0", old, 4)
    for round_ in range(1, 6):
        stays = np.flatnonzero(generator.random(len(old)) > 0.1)
        changed = generator.random(len(stays)) < 0.1
        new = vectors(3, round_)
        moves = Moves(
            np.concatenate([stays, [GONE] * 3]).astype(np.int32),
            np.concatenate([changed, [True] * 3]),
            len(old),
        )
        fresh = vectors(int(moves.fresh_L.sum()), 100 + round_)
        now = np.concatenate([old[stays], new])
        now[moves.fresh()] = fresh
        next_folder = tmp_path / str(round_)
        next_folder.mkdir()
        made = move_index(folder, next_folder, moves, fresh)
        index = linked(folder, next_folder, made.kept)
        queries = np.concatenate([vectors(20, 50 + round_), now[:5]])
        for k in (1, 7, len(now) + 5):
            ids_BK, scores_BK = index.search(queries, k)
            whole_ids, whole_scores = LabelIndex.build(now).search(queries, k)
            assert np.array_equal(ids_BK, whole_ids)
            assert np.array_equal(scores_BK, whole_scores)
        assert sum(made.rows) == len(index)
        folder, old = next_folder, now


def test_of_equal_vectors_the_first_label_is_found_first(tmp_path: Path) -> None:
    """Whatever row it stands in: a changed label's row is behind those of later labels."""
    one = vectors(1, 1)
    folder = saved(tmp_path / "0", np.repeat(one, 30, axis=0), 3)
    (tmp_path / "1").mkdir()
    fresh = np.zeros(30, bool)
    fresh[0] = True
    made = move_index(folder, tmp_path / "1", Moves(np.arange(30, dtype=np.int32), fresh, 30), one)
    ids_BK, _ = linked(folder, tmp_path / "1", made.kept).search(one, 4)
    assert ids_BK.tolist() == [[0, 1, 2, 3]]


def test_files_of_an_index_stay_as_long_as_most_of_them_lives(tmp_path: Path) -> None:
    folder = saved(tmp_path / "0", vectors(40, 1), 4)
    stays = np.array([n for n in range(40) if n not in {3, *range(10, 14)}], np.int32)
    (tmp_path / "1").mkdir()
    moves = Moves(stays, np.zeros(35, bool), 40)
    made = move_index(folder, tmp_path / "1", moves, np.zeros((0, 8), np.float32))
    assert made.kept == {shard_name(n): shard_name(n) for n in (0, 2, 3)}
    assert made.rows == [10, 6, 10, 10]
    assert made.written == 6


def test_what_the_judge_accepted_goes_with_the_keys() -> None:
    documents = [(7, vectors(1, 1)[0], [0, 2], [0.9, 0.8]), (8, vectors(1, 2)[0], [2], [0.7])]
    memory = Remembered.of(documents, np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    moves = Moves(np.array([1, 2, GONE], np.int32), np.array([False, True, True]), 3)
    now = memory.moved(moves)
    assert now.starts_N.tolist() == [0, 1, 2]
    assert now.labels_P.tolist() == [1, 1]
    assert now.p_yes_P.tolist() == pytest.approx([0.8, 0.7])
    assert now.asked_L.tolist() == [4.0, 5.0, 0.0]
    assert now.accepted_L.tolist() == [2.0, 3.0, 0.0]
