"""Candidates from 8-bit products: they hold the nearest rows, on whatever copy they are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from lmtx_ray.search import index as index_module
from lmtx_ray.search import int8_nearest
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.int8_nearest import Int8Nearest
from lmtx_ray.search.int8_product import MIDDLE, rows_by_few
from lmtx_ray.search.int8_rows import Int8Rows
from lmtx_ray.search.int8_scan import Int8Scan, is_fast
from lmtx_ray.search.shard_file import read_shard, shard_name, write_shard
from lmtx_ray.search.threads import use_threads
from tests.search.test_index import vectors


def exact_products(few_BD: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What oneDNN gives where the CPU sums whole numbers exactly."""
    return lambda bytes_RD: (bytes_RD.double() - MIDDLE).matmul(few_BD.double().t()).float()


@pytest.fixture(autouse=True)
def in_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU without such products, everything but the product itself is tested."""
    if not has_int8():
        monkeypatch.setattr(int8_nearest, "rows_by_few", exact_products)
        monkeypatch.setattr(index_module, "has_int8", lambda: True)


def nearest(known: np.ndarray) -> Int8Nearest:
    return Int8Nearest(Int8Rows.of(known))


def test_rows_found_in_int8_hold_the_nearest_of_float64() -> None:
    rng = np.random.default_rng(4)
    near = np.repeat(vectors(500, 1), 10, axis=0) + 0.02 * vectors(5000, 2)  # ten times the same
    far = vectors(3000, 3) * rng.uniform(1e-3, 30, (3000, 1)).astype(np.float32)
    for known in (near, far, np.concatenate([near, far])):
        queries = np.concatenate(
            [
                known[::500] + 0.1 * vectors(len(known[::500]), 5),
                1e-3 * vectors(3, 6),
                1e3 * vectors(3, 7),
            ]
        )
        found_B = nearest(known).search(queries, 40)
        assert sum(found is not None for found in found_B) > len(queries) / 2
        ids, _ = LabelIndex.build(known).search(queries, 40)
        products = queries.astype(np.float64) @ known.T.astype(np.float64)
        for found, row, product in zip(found_B, ids, products, strict=True):
            expected = set(np.argsort(-product.astype(np.float32), kind="stable")[:40])
            assert set(row) == expected
            assert found is None or (expected <= set(found) and len(found) < 400)


def test_what_int8_cannot_tell_apart_is_left_to_faiss() -> None:
    known = np.concatenate([vectors(100, 1), np.repeat(vectors(1, 2), 5000, axis=0)])
    queries = np.stack([known[0], known[-1], 0 * known[0], np.nan * known[0]])
    found = nearest(known).search(queries, 1)
    assert [rows is None for rows in found] == [False, True, True, True]
    ids, _ = LabelIndex.build(known).search(queries[:2], 1)
    assert ids[:, 0].tolist() == [0, 100]


def test_no_row_is_further_from_its_copy_than_the_bounds_say() -> None:
    known = vectors(500, 1) * np.linspace(0, 9, 500, dtype=np.float32)[:, None]
    low, high = known.min(axis=0), known.max(axis=0)
    for ranges in (None, (low, high), (low / 2, high / 2), (low - 5, high)):  # the third cuts some
        rows = Int8Rows.of(known, None if ranges is None else np.stack(ranges))
        middles = sum((low, high) if ranges is None else ranges) / 2
        whole = rows.bytes_LD - float(MIDDLE)
        meant = middles + rows.steps_D.astype(np.float64) * whole
        taken, longest = rows.bounds_2
        assert np.linalg.norm(known - meant, axis=1).max() <= taken * (1 + 1e-6)
        assert np.linalg.norm(whole, axis=1).max() <= longest * (1 + 1e-6)


def test_no_product_of_bytes_is_further_from_the_exact_one_than_is_said() -> None:
    known, queries = vectors(500, 1), 3 * vectors(20, 2)
    queries[1] *= 1e-4
    rows = Int8Rows.of(known)
    exact = queries.astype(np.float64) @ (known - (known.min(axis=0) + known.max(axis=0)) / 2).T
    scales_B1 = np.abs(queries * rows.steps_D).max(axis=1, keepdims=True) / 127
    for in_steps_BD, off_B in (rows.scaled(queries), rows.rounded(queries)):
        found = in_steps_BD.astype(np.float64) @ (rows.bytes_LD - float(MIDDLE)).T
        off_BL = np.abs(found - exact / scales_B1)
        assert (off_BL.max(axis=1) <= off_B).all()
        assert (off_BL.max(axis=1) > off_B / 20).all()  # nor is much more said than is needed


def found_in(known: np.ndarray, queries: np.ndarray, k: int, folder: Path) -> list[list[int]]:
    """Ids by an index in a file, asked query by query and all at once."""
    LabelIndex.build(known.astype(np.float32)).save(folder)
    index, queries = LabelIndex.load(folder), queries.astype(np.float32)
    alone = [index.search(query[None], k)[0][0].tolist() for query in queries]
    many = np.repeat(queries, 6, axis=0)
    assert index.search(many, k)[0][::6].tolist() == alone
    return alone


def test_scores_that_float32_makes_equal_are_found_in_the_order_of_rows(tmp_path: Path) -> None:
    step = 2.0**-10
    known = np.zeros((5000, 16))
    known[:, 0], known[:, 1] = 8192, 127 * step  # what all have in common takes the last bits
    known[:, 2] = np.random.default_rng(0).integers(0, 128, 5000) * step
    known[0, 1:], known[1, 1:] = -127 * step, 127 * step
    query = np.zeros((1, 16))
    query[0, :3] = 64, 127, 16
    products = (query @ known.T).astype(np.float32)[0]
    expected = np.argsort(-products, kind="stable")[:10].tolist()
    assert found_in(known, query, 10, tmp_path) == [expected]


def test_sums_beyond_what_float32_counts_to_lose_no_row(tmp_path: Path) -> None:
    known = np.full((4300, 4096), 0.0)
    known[:, :1100], known[3000:3005, :1100], known[2000:2020, :1100] = 60, 127, 127
    known[3000:3005, 1100:], known[2000:2020, 1100:1120] = 1, 127
    known[0], known[1] = -127, 127
    query = np.ones((1, 4096))
    query[0, :1100] = 127
    assert found_in(known, query, 6, tmp_path) == [[1, *range(3000, 3005)]]


@pytest.mark.parametrize(("dimensions", "scanned"), [(384, True), (300, False), (7, False)])
def test_a_width_without_instructions_is_not_scanned(
    tmp_path: Path, dimensions: int, scanned: bool
) -> None:
    LabelIndex.build(np.eye(4100, dimensions, dtype=np.float32)).save(tmp_path)
    (shard,) = LabelIndex.load(tmp_path).shards
    assert (shard._scan is not None) == (scanned and is_fast(dimensions))


@pytest.mark.parametrize("dimensions", [7, 24, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_scan_of_the_mapped_file_finds_the_nearest_of_what_matrix_products_find(
    tmp_path: Path, dimensions: int, threads: int
) -> None:
    draw = np.random.default_rng(dimensions)
    known = draw.standard_normal((9001, dimensions)).astype(np.float32)
    queries = draw.standard_normal((3, dimensions)).astype(np.float32)
    path = tmp_path / shard_name(0)
    write_shard(path, [known], known.shape)
    shard = read_shard(path)
    assert shard.int8 is not None
    use_threads(threads)
    scan = Int8Scan(shard.int8, path, shard.bytes_at)
    expected = Int8Nearest(shard.int8).search(queries, 30)
    exact = np.argsort(-(queries.astype(np.float64) @ known.T), kind="stable")[:, :30]
    for alone, matrix, nearest in zip(scan.search(queries, 30), expected, exact, strict=True):
        assert alone is not None
        assert matrix is not None
        assert set(nearest) <= set(alone) & set(matrix)
    path.unlink()  # what is mapped stays
    assert scan.search(np.float32([[np.nan] * dimensions]), 30) == [None]
    use_threads(1)


def test_a_scan_gives_up_where_too_many_rows_are_equal(tmp_path: Path) -> None:
    known = np.concatenate([vectors(100, 1), np.repeat(vectors(1, 2), 5000, axis=0)])
    LabelIndex.build(known).save(tmp_path)
    index = LabelIndex.load(tmp_path)
    (shard,) = index.shards
    assert shard._scan is not None
    found = shard._scan.search(np.stack([known[0], known[-1]]), 1)
    assert [rows is None for rows in found] == [False, True]
    ids, _ = index.search(known[-1:], 3)
    assert ids[0].tolist() == [100, 101, 102]


def test_vectors_that_lean_one_way_are_told_apart(tmp_path: Path) -> None:
    lean = 5 * vectors(1, 3)
    known, queries = vectors(20_000, 1) + lean, vectors(12, 2) + lean
    write_shard(tmp_path / shard_name(0), [known[:9000], known[9000:]], known.shape)
    shard = read_shard(tmp_path / shard_name(0))
    assert shard.int8 is not None
    products = queries.astype(np.float64) @ known.T.astype(np.float64)
    for found, product in zip(Int8Nearest(shard.int8).search(queries, 20), products, strict=True):
        assert found is not None
        assert set(np.argsort(-product)[:20]) <= set(found)


@pytest.mark.parametrize("asked", [1, 5, 40])
def test_a_mapped_copy_answers_as_one_in_memory_and_as_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    known, queries = vectors(9000, 1), vectors(asked, 2)
    built = LabelIndex.build(known, shards=2)
    built.save(tmp_path)
    monkeypatch.setattr(Int8Rows, "of", None)  # nothing is rounded again
    loaded = LabelIndex.load(tmp_path)
    answers = [index.search(queries, 30) for index in (built, loaded)]
    monkeypatch.setattr(index_module, "has_int8", lambda: False)
    answers.append(LabelIndex.load(tmp_path).search(queries, 30))
    for ids, scores in answers[1:]:
        assert np.array_equal(ids, answers[0][0])
        assert np.array_equal(scores, answers[0][1])


def test_a_file_without_a_copy_is_read_and_one_with_a_wrong_copy_is_not(tmp_path: Path) -> None:
    LabelIndex.build(vectors(5000, 1)).save(tmp_path)
    file = tmp_path / "shard-00000.safetensors"
    arrays = load_file(file)
    save_file({"vectors": arrays["vectors"]}, file)
    assert read_shard(file).int8 is None
    assert len(LabelIndex.load(tmp_path)) == 5000
    older = {"vectors": arrays["vectors"], "bytes": arrays["bytes"], "scales": np.ones(5000, "f4")}
    save_file(older, file)  # a scale for each row, as once
    assert read_shard(file).int8 is None
    assert LabelIndex.load(tmp_path).search(arrays["vectors"][7:8], 1)[0].tolist() == [[7]]
    save_file({**arrays, "steps": arrays["steps"][1:]}, file)
    with pytest.raises(ValueError, match=r"shard-00000.safetensors: an 8-bit copy of shapes"):
        LabelIndex.load(tmp_path)
    save_file({**arrays, "bounds": -arrays["bounds"]}, file)
    with pytest.raises(ValueError, match=r"shard-00000.safetensors: an 8-bit copy with the bounds"):
        LabelIndex.load(tmp_path)


@pytest.mark.parametrize("asked", [1, 16])
def test_products_of_many_rows_and_few_queries_are_whole_numbers(asked: int) -> None:
    draw = np.random.default_rng(1)
    # small enough for the 16 bits that a CPU without VNNI sums pairs in
    few = torch.from_numpy(draw.integers(-63, 64, (asked, 48), dtype=np.int8))
    rows = torch.from_numpy(draw.integers(0, 256, (500, 48), dtype=np.uint8))
    assert torch.equal(rows_by_few(few)(rows), exact_products(few)(rows))
