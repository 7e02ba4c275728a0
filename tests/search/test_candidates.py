from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.search import candidates


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 5), st.integers(1, 40))
def test_merged_shards_equal_the_unsharded_top_k(scores: list[int], shards: int, k: int) -> None:
    ids = np.arange(len(scores))[None]
    values = np.array(scores, dtype=np.float32)[None]
    whole = candidates.top_k(ids, values, k)
    pieces = [
        candidates.top_k(*piece, k)
        for piece in zip(
            np.array_split(ids, shards, axis=1), np.array_split(values, shards, axis=1), strict=True
        )
    ]
    merged = candidates.merge_top_k(pieces, k)
    assert np.array_equal(whole[0], merged[0])
    assert np.array_equal(whole[1], merged[1])


def test_fusion_follows_the_formula() -> None:
    first, second = np.array([[5, 3, -1]]), np.array([[3, 7, 5]])
    ids, scores = candidates.reciprocal_rank_fusion([first, second], 4, [1.0, 0.5], constant=10)
    assert ids.tolist() == [[5, 3, 7, -1]]
    assert scores[0, :3] == pytest.approx([1 / 11 + 0.5 / 13, 1 / 12 + 0.5 / 11, 0.5 / 12])


def test_rankings_round_trip_without_padding() -> None:
    ids = np.array([[4, 2, -1], [-1, -1, -1]], dtype=np.int32)
    scores = np.array([[0.9, 0.1, -np.inf], [-np.inf] * 3], dtype=np.float32)
    table = candidates.to_rankings(["a", "b"], ids, scores)
    assert table["label_ids"].to_pylist() == [[4, 2], []]
    back = candidates.rankings_arrays(table, 3)
    assert np.array_equal(back[0], ids)
    assert np.array_equal(back[1], scores)


def fused_one_by_one(
    rankings: list[np.ndarray], row: int, weights: list[float], k: int
) -> list[tuple[int, float]]:
    found: dict[int, float] = {}
    for ids, weight in zip(rankings, weights, strict=True):
        for rank, label in enumerate(ids[row].tolist(), start=1):
            if label != candidates.PADDING and weight > 0:
                found[label] = found.get(label, 0.0) + weight / (60 + rank)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:k]


def test_documents_are_fused_at_once_as_one_by_one() -> None:
    draw = np.random.default_rng(0)
    rankings = [
        np.stack([draw.permutation(40)[:width] for _ in range(9)]).astype(np.int32)
        for width in (20, 12, 30)
    ]
    rankings[1][:, 7:], rankings[0][3] = candidates.PADDING, candidates.PADDING
    for weights in ([1.0, 0.5, 2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]):
        ids_BK, scores_BK = candidates.reciprocal_rank_fusion(rankings, 25, weights, 60)
        for row in range(9):
            expected = fused_one_by_one(rankings, row, weights, 25)
            kept = ids_BK[row] != candidates.PADDING
            assert ids_BK[row][kept].tolist() == [label for label, _ in expected]
            values = np.array([score for _, score in expected], np.float32)
            assert np.array_equal(scores_BK[row][kept], values)
    assert candidates.reciprocal_rank_fusion([], 3)[0].shape == (0, 3)
