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
from lmtx_ray.search.shard_file import read_shard, shard_name, write_shard
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
    for common_D in (None, known[3], 100 * known[9]):
        rows = Int8Rows.of(known, common_D)
        own = known.astype(np.float64) - (known.mean(axis=0) if common_D is None else common_D)
        meant = rows.scales_L[:, None].astype(np.float64) * (rows.bytes_LD - float(MIDDLE))
        taken, longest = rows.bounds_2
        assert np.linalg.norm(own - meant, axis=1).max() <= taken * (1 + 1e-6)
        assert np.linalg.norm(own, axis=1).max() <= longest * (1 + 1e-6)


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
    save_file({**arrays, "scales": arrays["scales"][1:]}, file)
    with pytest.raises(ValueError, match=r"shard-00000.safetensors: an 8-bit copy of shapes"):
        LabelIndex.load(tmp_path)


@pytest.mark.parametrize("asked", [1, 16])
def test_products_of_many_rows_and_few_queries_are_whole_numbers(asked: int) -> None:
    draw = np.random.default_rng(1)
    # small enough for the 16 bits that a CPU without VNNI sums pairs in
    few = torch.from_numpy(draw.integers(-63, 64, (asked, 48), dtype=np.int8))
    rows = torch.from_numpy(draw.integers(0, 256, (500, 48), dtype=np.uint8))
    assert torch.equal(rows_by_few(few)(rows), exact_products(few)(rows))
