"""What is near the best of all products is kept, however they come in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.search import running_best
from lmtx_ray.search.int8_rows import SPREAD
from lmtx_ray.search.running_best import RunningBest


def found(products_LB: np.ndarray, k: int, margin: float, piece: int) -> list[np.ndarray | None]:
    asked = products_LB.shape[1]
    best = RunningBest(k, torch.full((asked,), margin))
    for first in range(0, len(products_LB), piece):
        best.add(torch.from_numpy(products_LB[first : first + piece].copy()), first)
    return best.rows(asked)


def expected(products_L: np.ndarray, k: int, margin: float) -> list[int] | None:
    least = np.sort(products_L)[-k] - np.float32(margin)
    rows = np.flatnonzero(products_L >= least)
    return rows.tolist() if len(rows) <= SPREAD * k else None


def was_crowded(products_L: np.ndarray, k: int, margin: float, piece: int) -> bool:
    """Whether too many rows were near the best of some first pieces: then nothing need be told."""
    ends = range(piece, len(products_L), piece)
    return any(expected(products_L[:end], k, margin) is None for end in ends if end >= k)


def same(products_LB: np.ndarray, k: int, margin: float, piece: int) -> None:
    for rows, column in zip(found(products_LB, k, margin, piece), products_LB.T, strict=True):
        if rows is None and was_crowded(column, k, margin, piece):
            continue
        assert (None if rows is None else rows.tolist()) == expected(column, k, margin)


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(1, 300),
    asked=st.integers(1, 4),
    k=st.integers(1, 40),
    piece=st.integers(1, 120),
    margin=st.sampled_from([0.0, 0.5, 3.0]),
    kinds=st.integers(1, 50),
    order=st.sampled_from(["drawn", "rising", "falling"]),
)
def test_any_pieces_give_the_rows_of_all_products(
    rows: int, asked: int, k: int, piece: int, margin: float, kinds: int, order: str
) -> None:
    drawn = np.random.default_rng(kinds).integers(0, kinds, (rows, asked)).astype(np.float32)
    if order != "drawn":
        drawn = np.sort(drawn, axis=0)[:: -1 if order == "falling" else 1]
    same(drawn, min(k, rows), margin, piece)


def test_what_is_kept_is_bounded_and_what_is_too_much_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(1)
    products = draw.normal(size=(20_000, 3)).astype(np.float32)
    products[:, 1] = 1.0  # all alike
    sizes = []
    drop = RunningBest._drop

    def watched(best: RunningBest) -> None:
        drop(best)
        sizes.append(best._count)

    monkeypatch.setattr(running_best.RunningBest, "_drop", watched)
    same(products, 5, 0.05, 500)
    assert sizes
    assert max(sizes) <= SPREAD * 5 * 3
    assert found(products, 5, 0.05, 500)[1] is None


def test_rows_that_do_not_count_are_not_kept_and_a_query_nobody_asks_keeps_nothing() -> None:
    products = torch.full((100, 2), -torch.inf)
    products[40:43, 0], products[:, 1] = torch.tensor([1.0, 3.0, 2.0]), 5.0
    best = RunningBest(2, torch.tensor([0.5, -torch.inf]))
    best.add(products, 0)
    near, unasked = best.rows(2)
    assert near.tolist() == [41, 42]
    assert unasked is None
