"""A graph's walk, and products with all that it links: what is near, alike for one and many."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.search.index_choice import LINKS
from lmtx_ray.search.threads import use_threads
from lmtx_ray.search.walk import Walk, graph_of


def unit(rows: int, dimensions: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


VECTORS, QUERIES = unit(2000, 48, 0), 3 * unit(30, 48, 1)
ARRAYS, HELD = graph_of(VECTORS, 16, 100)
WALK = Walk(ARRAYS, *VECTORS.shape)


def share(found_BK: np.ndarray, queries_BD: np.ndarray, vectors_ND: np.ndarray) -> float:
    true_BK = np.argsort(-queries_BD @ vectors_ND.T, axis=1)[:, : found_BK.shape[1]]
    pairs = zip(true_BK, found_BK, strict=True)
    return float(np.mean([np.isin(true, own).mean() for true, own in pairs]))


def test_a_walk_and_products_with_all_find_the_nearest_whatever_a_query_s_length() -> None:
    assert share(WALK.nearest(QUERIES, 20, 200), QUERIES, VECTORS) > 0.95
    assert share(WALK.nearest_of_all(QUERIES, 20), QUERIES, VECTORS) > 0.97


def test_no_vector_of_a_group_around_a_middle_is_cut_off() -> None:
    draw, number = np.random.default_rng(1), 4096
    off_ND = unit(number, 128, 2) * draw.uniform(0.2, 1.2, (number, 1)).astype(np.float32)
    grouped_ND = unit(32, 128, 3)[draw.integers(0, 32, number)] + off_ND
    arrays, _held = graph_of(grouped_ND, LINKS, 200)
    found_N = Walk(arrays, *grouped_ND.shape).nearest(grouped_ND, 1, 64)[:, 0]
    assert np.count_nonzero(found_N != np.arange(number)) <= number / 1000


def test_the_same_vectors_have_the_same_graph_on_any_threads() -> None:
    use_threads(1)
    one, _held_one = graph_of(VECTORS, 8, 40)
    use_threads(2)
    two, _held_two = graph_of(VECTORS, 8, 40)
    use_threads(1)
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("dimensions", [48, 1600])
def test_products_with_all_are_whole_numbers_also_of_many_dimensions(dimensions: int) -> None:
    vectors_ND, queries_BD = unit(300, dimensions, 0), unit(40, dimensions, 1)
    arrays, _held = graph_of(vectors_ND, 8, 40)
    walk = Walk(arrays, *vectors_ND.shape)
    found_BK = walk.nearest_of_all(queries_BD, 20)
    assert share(found_BK, queries_BD, vectors_ND) > 0.85
    for place, query_D in enumerate(queries_BD):
        alone_K = walk.nearest_of_all(query_D[None], 20)[0]
        assert np.array_equal(alone_K, found_BK[place])


def test_a_query_that_is_no_number_or_nothing_finds_something() -> None:
    odd_BD = np.stack([np.full(48, np.nan), np.zeros(48), np.full(48, np.inf)]).astype(np.float32)
    for found_BK in (WALK.nearest(odd_BD, 5, 64), WALK.nearest_of_all(odd_BD, 5)):
        assert ((found_BK >= 0) & (found_BK < len(VECTORS))).all()


@pytest.mark.parametrize("times", [1e-25, 1e30])
def test_a_query_s_length_does_not_matter(times: float) -> None:
    scaled_BD = QUERIES * np.float32(times)
    assert np.array_equal(WALK.nearest(scaled_BD, 9, 64), WALK.nearest(QUERIES, 9, 64))


def test_vectors_of_no_length_are_far_from_all() -> None:
    """As the middle of all they would be nearer than what is a little alike."""
    empty_ND = VECTORS.copy()
    empty_ND[::10] = 0
    arrays, _held = graph_of(empty_ND, 16, 100)
    found_BK = Walk(arrays, *empty_ND.shape).nearest(QUERIES, 100, 200)
    assert not np.isin(found_BK, np.arange(0, len(VECTORS), 10)).any()
