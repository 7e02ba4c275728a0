"""Clusters of document vectors: what is alike is together, the same again, and never too many."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from lmtx_ray.search import clustering


def groups(rows: int = 60) -> np.ndarray:
    """Unit vectors around three directions, one after the other."""
    generator = np.random.default_rng(0)
    noise = generator.normal(scale=0.05, size=(rows, 8))
    vectors_ND = np.eye(8)[np.arange(rows) % 3] + noise
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def test_what_is_alike_is_in_one_cluster(tmp_path: Path) -> None:
    vectors_ND = groups()
    clustering.save_centres(tmp_path, clustering.centres(vectors_ND, (3, 6), seed=1))
    coarse_KD, fine_KD = clustering.load_centres(tmp_path)
    assert (len(coarse_KD), len(fine_KD)) == (3, 6)
    own_N = clustering.nearest(vectors_ND, coarse_KD)
    assert [len(set(own_N[place::3])) for place in range(3)] == [1, 1, 1]
    assert len(set(own_N)) == 3


def test_the_same_vectors_have_the_same_centres() -> None:
    first, again = (clustering.centres(groups(), (3,), seed=1)[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_centres_are_the_same_whatever_was_searched_before() -> None:
    draw = np.random.default_rng(0)
    near_ND = np.repeat(draw.normal(size=(300, 24)), 10, axis=0)
    near_ND += draw.normal(scale=1e-7, size=near_ND.shape)
    near_ND = (near_ND / np.linalg.norm(near_ND, axis=1, keepdims=True)).astype(np.float32)
    found = []
    for threshold in (128_000, 5 * 24 + 1):  # as FAISS comes, and as a search leaves it
        faiss.cvar.distance_compute_blas_threshold = threshold
        found.append([one.tobytes() for one in clustering.centres(near_ND, (32, 128), seed=3)])
    assert found[0] == found[1]


def test_few_vectors_bear_few_clusters(tmp_path: Path) -> None:
    assert clustering.scales_of((2500, 5000), 300_000) == [2500, 5000]
    assert clustering.scales_of((2, 2500, 5000), 40) == [2, 10]
    assert clustering.scales_of((2500,), 7) == []
    clustering.save_centres(tmp_path, clustering.centres(groups(7), (2500,), seed=1))
    assert clustering.load_centres(tmp_path) == []
    assert len(clustering.nearest(np.zeros((0, 8), np.float32), np.eye(8, dtype=np.float32))) == 0
