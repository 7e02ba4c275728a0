"""Centres of lists, and the list of each vector, found by comparing few with few."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest

from lmtx_ray.search import inverted_lists
from lmtx_ray.search.best_of import products_of
from lmtx_ray.search.index_choice import bytes_of, factory_of
from lmtx_ray.search.inverted_lists import InvertedLists, build
from lmtx_ray.search.list_centres import Cells, centres
from lmtx_ray.search.singly import nearest


def unit(rows: int, dimensions: int, groups: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around the middles of groups, the same middles for all seeds."""
    middles = np.random.default_rng(7).normal(size=(groups, dimensions))
    draw = np.random.default_rng(seed)
    found = middles[draw.integers(0, groups, rows)] + 0.5 * draw.normal(size=(rows, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("rows", "number"), [(3000, 128), (500, 500), (70, 3), (5, 1)])
def test_there_are_as_many_centres_as_asked_for(rows: int, number: int) -> None:
    found_CD = centres(unit(rows, 16, 30), number)
    assert found_CD.shape == (number, 16)
    assert found_CD.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found_CD, axis=1), 1, rtol=1e-5)


def test_nearly_every_vector_has_the_list_that_is_nearest_of_all_and_another() -> None:
    vectors_ND = unit(4000, 16, 60)
    centres_CD = centres(vectors_ND, 512)
    own_N, other_N = Cells(centres_CD).nearest_two(vectors_ND).T
    true_N = nearest(centres_CD, vectors_ND, 1)[0][:, 0]
    assert np.mean(own_N == true_N) > 0.95
    away_N = (vectors_ND * (centres_CD[true_N] - centres_CD[own_N])).sum(axis=1)
    assert away_N.max() < 0.2
    assert (own_N != other_N).all()
    assert (other_N >= 0).all()


def test_the_other_list_is_near_where_the_first_is_not() -> None:
    vectors_ND = unit(4000, 16, 60)
    centres_CD = centres(vectors_ND, 512)
    own_N, other_N = Cells(centres_CD).nearest_two(vectors_ND).T
    second_N = nearest(centres_CD, vectors_ND, 2)[0][:, 1]
    lost_ND = vectors_ND - centres_CD[own_N]
    alike = [
        np.mean(np.abs((lost_ND * (vectors_ND - centres_CD[found_N])).sum(axis=1)))
        for found_N in (other_N, second_N)
    ]
    assert alike[0] < 0.7 * alike[1]


def test_vectors_that_are_all_alike_have_a_list_each() -> None:
    same_ND = np.ones((300, 8), np.float32) / np.sqrt(np.float32(8))
    own_N2 = Cells(centres(same_ND, 16)).nearest_two(same_ND)
    assert set(own_N2[:, 0].tolist()) <= set(range(16))
    assert set(own_N2[:, 1].tolist()) <= set(range(-1, 16))
    assert (own_N2[:, 0] != own_N2[:, 1]).all()


def test_of_one_centre_there_is_no_second() -> None:
    vectors_ND = unit(50, 16, 5)
    own_N2 = Cells(centres(vectors_ND, 1)).nearest_two(vectors_ND)
    assert own_N2.tolist() == [[0, -1]] * 50


@pytest.mark.parametrize("dimensions", [16, 31])
def test_lists_hold_all_rows_and_all_lists_find_the_nearest(
    tmp_path: Path, dimensions: int
) -> None:
    vectors_LD, queries_BD = unit(9000, dimensions, 100), unit(20, dimensions, 100, seed=1)
    books = dimensions // 2 if dimensions % 2 == 0 else dimensions
    build(vectors_LD, f"IVF128,PQ{books}x4fs", tmp_path / "lists", {})
    lists = InvertedLists(tmp_path / "lists", vectors_LD)
    found_BN = lists.search(queries_BD, 100, lists.most)
    true_BK = nearest(vectors_LD, queries_BD, 20)[0]
    pairs = zip(found_BN, true_BK, strict=True)
    assert np.mean([np.isin(true, found).mean() for found, true in pairs]) > 0.95


def test_lists_are_the_same_whatever_was_searched_before(tmp_path: Path) -> None:
    near_LD = np.repeat(unit(900, 64, 90), 10, axis=0)
    near_LD += np.random.default_rng(0).normal(scale=1e-7, size=near_LD.shape).astype(np.float32)
    faiss.cvar.distance_compute_blas_threshold = 128_000  # as it comes
    build(near_LD, "IVF256,PQ32x4fs", tmp_path / "first", {})
    nearest(near_LD, near_LD[:20], 10)  # FAISS multiplies otherwise from here on
    build(near_LD, "IVF256,PQ32x4fs", tmp_path / "second", {})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("rows", [9000, 30_000])
def test_a_file_of_lists_is_as_large_as_is_told_before(tmp_path: Path, rows: int) -> None:
    factory = factory_of("ivf", rows, 32)
    build(unit(rows, 32, 100), factory, tmp_path / "lists", {})
    assert bytes_of(factory, rows, 32) == pytest.approx(
        (tmp_path / "lists").stat().st_size, rel=0.1
    )


@pytest.mark.parametrize("probes", [1, 2, 3, 5, 17, 127, 128])
def test_lists_of_one_query_are_those_it_has_among_others(tmp_path: Path, probes: int) -> None:
    vectors_LD, queries_BD = unit(9000, 16, 100), unit(33, 16, 100, seed=1)
    build(vectors_LD, "IVF128,PQ8x4fs", tmp_path / "lists", {})
    lists = InvertedLists(tmp_path / "lists", vectors_LD)
    found_BK = lists.search(queries_BD, 10, probes)
    for place, query_D in enumerate(queries_BD):
        alone_K = lists.search(query_D[None], 10, probes)[0]
        assert sorted(alone_K.tolist()) == sorted(found_BK[place].tolist())


@pytest.mark.parametrize("probes", [4, 32, 100, 255])
def test_lists_that_are_nearly_the_same_are_told_apart_alike(tmp_path: Path, probes: int) -> None:
    draw = np.random.default_rng(0)
    near_LD = (np.ones((9000, 64)) / 8 + draw.normal(scale=5e-7, size=(9000, 64))).astype(
        np.float32
    )
    build(near_LD, "IVF256,PQ32x4fs", tmp_path / "lists", {})
    lists, queries_BD = InvertedLists(tmp_path / "lists", near_LD), unit(33, 64, 100, seed=1)
    found_BK = np.sort(lists.search(queries_BD, 10, probes), axis=1)
    for step in (1, 5):
        parts = [lists.search(queries_BD[at : at + step], 10, probes) for at in range(0, 33, step)]
        assert np.array_equal(np.sort(np.concatenate(parts), axis=1), found_BK)


def test_products_with_all_lists_are_held_of_some_queries_at_a_time(tmp_path: Path) -> None:
    vectors_LD, queries_BD = unit(9000, 16, 100), unit(4096, 16, 100, seed=1)
    build(vectors_LD, "IVF1024,PQ8x4fs", tmp_path / "lists", {})
    lists = InvertedLists(tmp_path / "lists", vectors_LD)
    tracemalloc.start()
    lists.search(queries_BD, 10, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4096 * 1024 * 8  # the places alone, as int64, were as large as that


@pytest.mark.parametrize("alike", [6000, 9000])
def test_very_many_vectors_that_are_all_alike_take_no_look_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alike: int
) -> None:
    monkeypatch.setattr(inverted_lists, "PACKED", 64)  # so that a list is longer
    vectors_LD = unit(9000, 16, 100)
    vectors_LD[:alike] = vectors_LD[0]
    build(vectors_LD, "IVF512,PQ8x4fs", tmp_path / "lists", {})
    lists = InvertedLists(tmp_path / "lists", vectors_LD)
    queries_BD = np.concatenate([vectors_LD[:1], vectors_LD[-5:]])
    found_BK = lists.search(queries_BD, 10, 6)
    scores_BK = np.einsum("bd,bkd->bk", queries_BD, vectors_LD[found_BK])
    assert scores_BK.max(axis=1) == pytest.approx(np.ones(6), abs=1e-5)


@pytest.mark.parametrize("probes", [1, 3, 8, 100])
def test_no_row_is_found_twice(tmp_path: Path, probes: int) -> None:
    vectors_LD, queries_BD = unit(9000, 16, 100), unit(20, 16, 100, seed=1)
    build(vectors_LD, "IVF512,PQ8x4fs", tmp_path / "lists", {})
    found_BK = InvertedLists(tmp_path / "lists", vectors_LD).search(queries_BD, 50, probes)
    for found_K in found_BK:
        rows = found_K[found_K >= 0].tolist()
        assert len(rows) == len(set(rows)) > 0


def test_rows_of_one_query_have_the_products_they_have_among_others() -> None:
    vectors_LD, queries_BD = unit(200, 24, 10), unit(3, 24, 10, seed=1)
    for wide in (7, 8):
        rows_BW = np.random.default_rng(0).integers(-1, 200, (3, wide))
        among_BW = products_of(queries_BD, vectors_LD, rows_BW)
        alone = [products_of(queries_BD[[at]], vectors_LD, rows_BW[[at]])[0] for at in range(3)]
        assert np.array_equal(np.stack(alone), among_BW)
