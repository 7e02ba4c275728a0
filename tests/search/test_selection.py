"""Searching among some labels: the answer is that of a brute-force ranking of those alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.search import among, int8_nearest
from lmtx_ray.search import index as index_module
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.selection import Narrowed, Selection
from tests.search.test_index import vectors
from tests.search.test_int8 import exact_products

SHARES = [0.001, 0.01, 0.1, 0.9]


def drawn(labels: int, share: float, seed: int) -> Selection:
    """A selection of a share of labels, at least one."""
    size = max(round(labels * share), 1)
    return Selection(labels, np.random.default_rng(seed).choice(labels, size, replace=False))


def brute_force(
    known: np.ndarray, queries: np.ndarray, allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the allowed rows by float64 products, rounded; padded."""
    ids = np.full((len(queries), k), PADDING)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    for row, query in enumerate(queries.astype(np.float64)):
        products = (known[allowed].astype(np.float64) @ query).astype(np.float32)
        order = np.lexsort((allowed, -products))[:k]
        ids[row, : len(order)], scores[row, : len(order)] = allowed[order], products[order]
    return ids, scores


sets = st.sets(st.integers(0, 29))


@given(first=sets, second=sets, but=st.booleans(), other_but=st.booleans())
def test_a_selection_is_a_set_of_labels(
    first: set[int], second: set[int], but: bool, other_but: bool
) -> None:
    everything = set(range(30))
    meant = [everything - first if but else first, everything - second if other_but else second]
    one, other = Selection(30, [*first], but), Selection(30, [*second], other_but)
    assert set(np.flatnonzero(one.mask_L).tolist()) == meant[0]
    assert (len(one), one.left_out) == (len(meant[0]), 30 - len(meant[0]))
    assert set(np.flatnonzero((one & other).mask_L).tolist()) == meant[0] & meant[1]
    assert one.holds(np.arange(-1, 30)).tolist() == [n in meant[0] for n in range(-1, 30)]
    inside = sorted(n - 7 for n in meant[0] if 7 <= n < 19)
    assert one.rows_between(7, 19).tolist() == inside
    assert one.count_between(7, 19) == len(inside)
    sent = pickle.loads(pickle.dumps(one))
    assert sent == one
    assert hash(sent) == hash(one)


@given(base=sets, without=sets, but=st.booleans())
def test_a_narrowed_selection_is_one_without_some(base: set, without: set, but: bool) -> None:
    ids = np.array(sorted(without), np.int32)
    given_base = Selection(30, [*base], but)
    narrowed = Narrowed(given_base, ids)
    expected = given_base & Selection(30, ids, but=True)
    assert (len(narrowed), narrowed.left_out) == (len(expected), expected.left_out)
    every = np.arange(-1, 30)
    assert np.array_equal(narrowed.holds(every), expected.holds(every))
    assert pickle.loads(pickle.dumps(narrowed)) == narrowed == expected
    assert np.array_equal(narrowed.ids_left_out, expected.ids_left_out)
    assert np.array_equal(narrowed.rows_between(3, 20), expected.rows_between(3, 20))


def test_a_selection_of_a_million_labels_travels_in_few_bytes() -> None:
    few = Selection(1_000_000, np.arange(0, 1_000_000, 1000))
    half = Selection(1_000_000, np.arange(0, 1_000_000, 2))
    assert len(pickle.dumps(few)) < 5_000
    assert len(pickle.dumps(Selection(1_000_000, few.ids_S, but=True))) < 5_000
    assert len(pickle.dumps(half)) < 130_000
    with pytest.raises(ValueError, match="label ids 3 to 7 of 7 labels"):
        Selection(7, np.array([7, 3]))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("asked", [1, 9])
def test_a_search_among_some_labels_is_a_brute_force_ranking_of_them(
    share: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, queries = vectors(3000, 1), vectors(asked, 2)
    selection = drawn(3000, share, 3)
    expected = brute_force(known, queries, np.flatnonzero(selection.mask_L), 20)
    for rows in (1 << 13, 50):  # at once, and in many pieces
        monkeypatch.setattr(among, "PIECE", rows)
        for shards in (1, 3):
            found = LabelIndex.build(known, shards).search(queries, 20, selection)
            for one, other in zip(found, expected, strict=True):
                assert np.array_equal(one, other)


@settings(deadline=None, max_examples=25)
@given(labels=st.integers(1, 60), shards=st.integers(1, 9), k=st.integers(1, 70), data=st.data())
def test_any_selection_in_any_sharding(labels: int, shards: int, k: int, data) -> None:
    known, queries = np.repeat(vectors((labels + 1) // 2, 1), 2, axis=0)[:labels], vectors(4, 2)
    ids = data.draw(st.sets(st.integers(0, labels - 1)))
    found = LabelIndex.build(known, shards).search(queries, k, Selection(labels, [*ids]))
    expected = brute_force(known, queries, np.array(sorted(ids), int), k)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("share", [0.0005, *SHARES])
def test_in_8_bits_it_is_the_same(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_nearest, "rows_by_few", exact_products)
    monkeypatch.setattr(index_module, "has_int8", lambda: True)
    known, queries, asked = vectors(45_000, 1), vectors(5, 2), []
    search = int8_nearest.Int8Nearest.search
    monkeypatch.setattr(
        int8_nearest.Int8Nearest, "search", lambda *given: asked.append(1) or search(*given)
    )
    selection = drawn(45_000, share, 3)
    found = LabelIndex.build(known).search(queries, 20, selection)
    expected = brute_force(known, queries, np.flatnonzero(selection.mask_L), 20)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert len(asked) == (share >= 0.1)  # of fewer labels float32 is as fast


@pytest.mark.parametrize("share", SHARES)
def test_words_find_the_best_of_the_allowed_labels(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    words = [f"word{n}" for n in range(60)]
    texts = [" ".join(rng.choice(words, rng.integers(1, 5))) for _ in range(2000)]
    documents = [" ".join(rng.choice(words, 40)) for _ in range(6)]
    index, selection = LexicalIndex.build(texts), drawn(2000, share, 6)
    # all labels are scored, all that are allowed, or those alone that may be among the best
    for small in (1 << 17, 1999, 0):
        monkeypatch.setattr("lmtx_ray.search.lexical_best.SMALL", small)
        every_ids, every_scores = index.search(documents, 2000)
        ids, scores = index.search(documents, 30, selection.mask_L)
        for row in range(len(documents)):
            kept = selection.holds(every_ids[row])
            expected = every_ids[row][kept][:30]
            assert ids[row, : len(expected)].tolist() == expected.tolist()
            assert (ids[row, len(expected) :] == PADDING).all()
            assert np.array_equal(scores[row, : len(expected)], every_scores[row][kept][:30])
