"""Products on a device: with them an index answers as without, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.search import device_product, hardware, int8_rows
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.device_product import DeviceNearest
from lmtx_ray.search.hardware import search_device
from lmtx_ray.search.index import IndexShard
from lmtx_ray.search.selection import Selection
from tests.search.test_index import vectors

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@settings(max_examples=80)
@given(
    rows=st.integers(1, 300),
    k=st.integers(1, 40),
    drawn=st.integers(0, 1 << 30),
    share=st.sampled_from([0.0, 0.02, 0.5, 0.97, None]),
    repeats=st.sampled_from([1, 2, 30]),
    led=st.booleans(),
    products=st.sampled_from([40, 1 << 26]),
)
def test_an_index_on_a_device_answers_as_on_a_cpu(
    rows: int, k: int, drawn: int, share: float | None, repeats: int, led: bool, products: int
) -> None:
    rng = np.random.default_rng(drawn)
    known = np.repeat(vectors(rows, drawn), repeats, axis=0)[:rows]
    known += 1e-7 * rng.normal(size=known.shape).astype(np.float32)  # as near as float32 can be
    queries = np.concatenate([known[:3], vectors(2, drawn + 1), 1e-3 * known[:1]])
    labels = np.where(rng.random(rows) < 0.2, PADDING, rng.permutation(rows)) if led else None
    labels = None if labels is None else labels.astype(np.int32)
    selection = None if share is None else Selection(rows, np.flatnonzero(rng.random(rows) < share))
    with pytest.MonkeyPatch.context() as patch:
        expected = IndexShard(known, labels_L=labels).search(queries, k, selection)
        patch.setattr(int8_rows, "FEW_ROWS", 0)
        patch.setattr(int8_rows, "SPREAD", 1)
        patch.setattr(device_product, "PRODUCTS", products)
        shard = IndexShard(known, labels_L=labels, device="cpu")
        found = shard.search(queries, k, selection)
    assert isinstance(shard._finder, DeviceNearest)
    assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("device", DEVICES)
def test_few_rows_are_left_over_and_they_hold_the_nearest(device: str) -> None:
    known = np.concatenate([vectors(9000, 1), np.repeat(vectors(1, 2), 12, axis=0)])
    queries = np.concatenate([vectors(20, 3), known[-1:]])
    for rows_R in (None, np.arange(0, 9012, 2), np.arange(0, 9012, 7)):
        own = np.arange(len(known)) if rows_R is None else rows_R
        products = queries.astype(np.float64) @ known[own].T.astype(np.float64)
        for found, row in zip(
            DeviceNearest(known, device).search(queries, 10, rows_R), products, strict=True
        ):
            assert found is not None
            assert 10 <= len(found) < 20
            assert (np.diff(found) > 0).all()
            assert set(own[np.argsort(-row, kind="stable")[:10]]) <= set(found)


def test_what_a_device_cannot_tell_apart_or_hold_is_left_to_the_cpu(monkeypatch) -> None:
    known = np.concatenate([vectors(100, 1), np.repeat(vectors(1, 2), 5000, axis=0)])
    queries = np.stack([known[0], known[-1], 0 * known[0], np.nan * known[0]])
    found = DeviceNearest(known, "cpu").search(queries, 1)
    assert [rows is None for rows in found] == [False, True, True, True]
    ids, _ = IndexShard(known, device="cpu").search(queries[:2], 1)
    assert ids[:, 0].tolist() == [0, 100]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (len(known) * 16 * 4, 0))
    full = DeviceNearest(known, "cuda")
    assert full.search(queries, 1) == full.search(queries, 1) == [None] * 4


def test_a_device_is_chosen_where_there_is_one_or_as_asked(monkeypatch) -> None:
    def chosen(gpu: bool, asked: str | None) -> str | None:
        monkeypatch.setattr(hardware, "DRIVERS", ("/dev/null",) if gpu else ())
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.delenv("LMTX_SEARCH_DEVICE", raising=False)
        if asked:
            monkeypatch.setenv("LMTX_SEARCH_DEVICE", asked)
        return search_device()

    assert [chosen(False, None), chosen(True, None)] == [None, "cuda"]
    assert [chosen(True, "none"), chosen(True, "cuda:1")] == [None, "cuda:1"]
    assert chosen(False, "cpu") == "cpu"
    with pytest.raises(ValueError, match="LMTX_SEARCH_DEVICE=gpu9: auto, none or a device"):
        chosen(True, "gpu9")


@pytest.mark.gpu
def test_an_index_on_a_gpu_answers_as_on_a_cpu_whatever_else_rounds(monkeypatch) -> None:
    known, queries = vectors(200_000, 1), vectors(70, 2)
    monkeypatch.setenv("LMTX_SEARCH_DEVICE", "none")
    some = Selection(len(known), np.arange(0, len(known), 3))
    plain, on_gpu = IndexShard(known), IndexShard(known, device="cuda")
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        try:
            for selection in (None, some):
                found = on_gpu.search(queries, 100, selection)
                assert all(map(np.array_equal, found, plain.search(queries, 100, selection)))
        finally:
            torch.set_float32_matmul_precision("highest")
