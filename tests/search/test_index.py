"""Searching labels by vectors: the nearest ones, whatever the shards, in files that are mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.search.candidates import PADDING, merge_top_k
from lmtx_ray.search.index import IndexShard, LabelIndex, load_shard
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.tensor_file import write_tensors


def vectors(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@settings(deadline=None, max_examples=25)
@given(labels=st.integers(1, 60), shards=st.integers(1, 70), k=st.integers(1, 80))
def test_any_number_of_shards_gives_the_search_of_the_whole(
    labels: int, shards: int, k: int
) -> None:
    known, queries = vectors(labels, 1), vectors(9, 2)
    expected = np.argsort(-(queries @ known.T), axis=1, kind="stable")[:, :k]
    ids, scores = LabelIndex.build(known, shards).search(queries, k)
    assert np.array_equal(ids[:, : min(k, labels)], expected)
    assert (ids[:, labels:] == PADDING).all()
    assert np.allclose(scores[:, 0], (queries @ known.T).max(axis=1), atol=1e-5)


def test_a_score_has_the_same_bits_in_any_batch_and_sharding() -> None:
    known, queries = vectors(5000, 1), vectors(40, 2)
    ids, scores = LabelIndex.build(known).search(queries, 30)
    for shards in (3, 4, 11):
        index = LabelIndex.build(known, shards)
        parts = [index.search(queries[start : start + 1], 30) for start in range(len(queries))]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), ids)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), scores)


def test_shards_loaded_alone_and_merged_are_the_whole_index(tmp_path: Path) -> None:
    known, queries = vectors(100, 1), vectors(5, 2)
    whole = LabelIndex.build(known, shards=4)
    whole.save(tmp_path)
    parts = [load_shard(tmp_path, number).search(queries, 9) for number in range(4)]
    for merged, expected in zip(merge_top_k(parts, 9), whole.search(queries, 9), strict=True):
        assert np.array_equal(merged, expected)
    with pytest.raises(FileNotFoundError, match="no index shard 4, there are 4"):
        load_shard(tmp_path, 4)


def test_equal_scores_are_ordered_by_label_id_in_any_sharding() -> None:
    same = np.repeat(vectors(1, 3), 7, axis=0)
    for shards in (1, 3, 7):
        ids, _ = LabelIndex.build(same, shards).search(same[:1], 4)
        assert ids[0].tolist() == [0, 1, 2, 3]


def test_an_index_answers_the_same_after_loading(tmp_path: Path) -> None:
    index = LabelIndex.build(vectors(50, 1), shards=3)
    index.save(tmp_path)
    loaded = LabelIndex.load(tmp_path)
    assert len(loaded) == 50
    assert np.array_equal(loaded.search(vectors(5, 2), 8)[0], index.search(vectors(5, 2), 8)[0])


def test_a_loaded_index_is_a_map_of_its_files(tmp_path: Path) -> None:
    known = vectors(5000, 1)
    LabelIndex.build(known, shards=2).save(tmp_path)
    for shard in LabelIndex.load(tmp_path).shards:
        assert not shard.vectors_LD.flags.writeable
        assert mapped_bytes(tmp_path / f"shard-{shard.start // 2500:05d}.safetensors") > 0


def mapped_bytes(file: Path) -> int:
    """Of this process's address space, that shows the file."""
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [line[0].split("-") for line in maps if line[-1] == str(file)]
    return sum(int(end, 16) - int(start, 16) for start, end in spans)


@pytest.mark.parametrize("vector", [[np.inf, 0.0], [0.0]])
def test_a_shard_file_without_finite_float32_is_refused_by_name(
    tmp_path: Path, vector: list[float]
) -> None:
    LabelIndex.build(vectors(4, 1)[:, :2], shards=2).save(tmp_path)
    held = np.array([[1, 0], vector] if len(vector) == 2 else vector, np.float32)
    write_tensors(tmp_path / "shard-00001.safetensors", {"vectors": held})
    with pytest.raises(ValueError, match=r"shard-00001.safetensors: .*(label 3 is not|no matrix)"):
        LabelIndex.load(tmp_path)


def test_vectors_that_cannot_be_ranked_are_refused_by_name() -> None:
    broken = vectors(4, 1)
    broken[2, 3] = np.nan
    with pytest.raises(ValueError, match="label 2 is not finite"):
        LabelIndex.build(broken)
    with pytest.raises(ValueError, match="at least one label"):
        LabelIndex.build(broken[:0])
    with pytest.raises(FileNotFoundError, match="no index shards"):
        LabelIndex.load("absent")


@pytest.mark.parametrize("allowed", [None, 0.9, 0.1])
@pytest.mark.parametrize("asked", [1, 40])
def test_rows_that_float32_cannot_tell_apart_are_ordered_by_their_exact_scores(
    allowed: float | None, asked: int
) -> None:
    rng = np.random.default_rng(5)
    known = np.concatenate([vectors(300, 1), np.repeat(vectors(1, 2), 200, axis=0)])
    known += 1e-7 * rng.normal(size=known.shape).astype(np.float32)
    queries = np.concatenate([known[-1:], vectors(asked - 1, 3)])
    among, selection = np.arange(len(known)), None
    if allowed is not None:
        among = np.flatnonzero(rng.random(len(known)) < allowed)
        selection = Selection(len(known), among)
    products = (queries.astype(np.float64) @ known[among].astype(np.float64).T).astype(np.float32)
    expected = among[np.argsort(-products, axis=1, kind="stable")[:, :10]]
    ids, scores = IndexShard(known).search(queries, 10, selection)
    assert np.array_equal(ids, expected)
    assert np.array_equal(scores, -np.sort(-products, axis=1)[:, :10])
