"""Several rows that lead to one label: the best of them counts, however the rows are cut."""

from __future__ import annotations

import tempfile

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.row_labels import save_row_labels
from lmtx_ray.search.selection import Selection
from tests.search.test_index import vectors


def best_labels(products_R: np.ndarray, labels_R: np.ndarray, k: int) -> list[tuple[float, int]]:
    """(-score, label) of the k best labels by their best rows, of equal ones the lower first."""
    found: dict[int, float] = {}
    for label, product in zip(labels_R.tolist(), products_R.tolist(), strict=True):
        if label != PADDING:
            found[label] = min(found.get(label, np.inf), -product)
    return sorted((score, label) for label, score in found.items())[:k]


@settings(max_examples=80)
@given(
    rows=st.integers(1, 80),
    labels=st.integers(1, 30),
    shards=st.integers(1, 9),
    k=st.integers(1, 40),
    drawn=st.integers(0, 1 << 30),
    share=st.sampled_from([0.0, 0.2, 0.9, None]),
    same=st.booleans(),
)
def test_a_label_has_the_score_of_its_best_row_in_any_sharding(
    rows: int, labels: int, shards: int, k: int, drawn: int, share: float | None, same: bool
) -> None:
    rng = np.random.default_rng(drawn)
    known = vectors(rows, drawn)[
        rng.integers(0, min(3, rows) if same else rows, rows)
    ]  # some are the same
    labels_R = rng.integers(PADDING, labels, rows).astype(np.int32)
    queries = np.concatenate([vectors(3, drawn + 1), known[:1]])
    chosen = None
    if share is not None:
        chosen = Selection(labels, np.flatnonzero(rng.random(labels) < share))
    with tempfile.TemporaryDirectory() as folder:
        LabelIndex.build(known, shards).save(folder)
        save_row_labels(folder, labels_R)
        ids_BK, scores_BK = LabelIndex.load(folder).search(queries, k, chosen)
    allowed_R = labels_R if chosen is None else np.where(chosen.holds(labels_R), labels_R, PADDING)
    products_BR = (queries.astype(np.float64) @ known.T.astype(np.float64)).astype(np.float32)
    for ids, scores, products in zip(ids_BK, scores_BK, products_BR, strict=True):
        expected = best_labels(products, allowed_R, k)
        there = ids != PADDING
        assert np.allclose(-scores[there], [score for score, _ in expected], rtol=1e-6, atol=1e-7)
        assert sorted(ids[there].tolist()) == sorted({*ids[there].tolist()})
        if not same:
            assert ids[there].tolist() == [label for _, label in expected]
        assert len(expected) == there.sum()
