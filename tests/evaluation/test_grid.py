"""Thresholds and limits: exact counts, intervals that repeat, and the choice."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation.grid import Cell, Rated, choose, first_of_each, grid

NAN = float("nan")
# two documents, best first; the second's likelier tag is not its first
RATED = Rated(
    documents_N=np.array([0, 0, 0, 1, 1]),
    probabilities_N=np.array([0.9, 0.6, 0.2, 0.3, 0.7], np.float32),
    right_N=np.array([1.0, 0.0, 1.0, NAN, 1.0]),
    wanted_B=np.array([2.0, 2.0]),
)


def cell(threshold: float, limit: int) -> Cell:
    (found,) = grid(RATED, [threshold], [limit])
    return found


def test_the_first_tags_that_are_likely_enough_count() -> None:
    assert first_of_each(RATED, 0.0, 1).tolist() == [True, False, False, True, False]
    assert first_of_each(RATED, 0.5, 1).tolist() == [True, False, False, False, True]
    assert first_of_each(RATED, 0.69, 2).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("threshold", "limit", "precision", "recall", "tags", "known", "untagged"),
    [
        (0.5, 1, 1.0, 0.5, 2, 1.0, 0.0),
        (0.5, 2, 2 / 3, 0.5, 3, 1.0, 0.0),
        (0.0, 3, 3 / 4, 0.75, 5, 0.8, 0.0),
        (0.8, 3, 1.0, 0.25, 1, 1.0, 0.5),
        (0.95, 3, 0.0, 0.0, 0, 0.0, 1.0),
    ],
)
def test_precision_and_recall_of_a_cell(
    threshold, limit, precision, recall, tags, known, untagged
) -> None:
    found = cell(threshold, limit)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert (found.tags, found.known, found.untagged) == (tags, known, untagged)
    assert found.tags_per_document == tags / 2


def many(seed: int = 0, documents: int = 400) -> Rated:
    """Five candidates a document, right as often as their probability says."""
    generator = np.random.default_rng(seed)
    probabilities_N = generator.random(5 * documents).astype(np.float32)
    right_N = (generator.random(5 * documents) < probabilities_N).astype(float)
    wanted_B = right_N.reshape(documents, 5).sum(axis=1)
    return Rated(np.repeat(np.arange(documents), 5), probabilities_N, right_N, wanted_B)


def test_intervals_hold_the_estimate_and_repeat() -> None:
    first, again = grid(many(), [0.0, 0.5], [3]), grid(many(), [0.0, 0.5], [3])
    assert first == again
    for one in first:
        low, high = one.precision_ci
        assert low < one.precision < high
        assert high - low < 0.1
        assert one.recall_ci[0] < one.recall < one.recall_ci[1]


def test_tags_that_are_all_right_leave_doubt() -> None:
    """25 of 25: resampled documents are all right too, and Wilson's interval begins at 0.87."""
    all_right = Rated(np.arange(25), np.ones(25, np.float32), np.ones(25), np.ones(25))
    (found,) = grid(all_right, [0.5], [1])
    assert found.precision == 1.0
    assert found.precision_ci == pytest.approx((0.8668, 1.0), abs=1e-4)


def test_the_most_recall_with_the_precision_is_chosen() -> None:
    cells = grid(many())
    chosen = choose(cells, 0.9).cell
    assert chosen is not None
    assert chosen.precision >= 0.9
    assert all(one.recall <= chosen.recall for one in cells if one.precision >= 0.9 and one.counts)
    sure = choose(cells, 0.9, confident=True).cell
    assert sure is not None
    assert sure.precision_ci[0] >= 0.9
    assert sure.recall < chosen.recall


def test_what_nothing_reaches_is_not_chosen_but_the_nearest_named() -> None:
    rated = many()
    half = Rated(rated.documents_N, rated.probabilities_N, np.full(2000, 0.5), np.full(400, 2.5))
    choice = choose(grid(half), 0.9)
    assert choice.cell is None
    assert choice.nearest is not None
    assert choice.nearest.precision == pytest.approx(0.5)


def test_cells_of_few_or_unknown_tags_are_not_gone_by() -> None:
    assert choose(grid(RATED), 0.9) == choose([], 0.9)  # five tags in all
    rated = many()
    hidden = np.where(np.arange(2000) % 2, NAN, rated.right_N)
    unknown = Rated(rated.documents_N, rated.probabilities_N, hidden, rated.wanted_B)
    assert choose(grid(unknown), 0.1).cell is None


def test_no_document_is_an_error() -> None:
    nothing = Rated(np.zeros(0, int), np.zeros(0, np.float32), np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="no document"):
        grid(nothing)
