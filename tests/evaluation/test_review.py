"""Strata of a review: how many of each, and what they say together."""

from __future__ import annotations

import pytest

from lmtx_ray.evaluation.intervals import wilson
from lmtx_ray.evaluation.review import Band, allot, band_of, least_probability, together


def test_bands_are_tenths() -> None:
    found = [band_of(p) for p in (0.0, 0.1, 0.3, 0.7, 0.95, 1.0, None)]
    assert found == ["0.0-0.1", "0.1-0.2", "0.3-0.4", "0.7-0.8", "0.9-1.0", "0.9-1.0", ""]


@pytest.mark.parametrize(
    ("population", "size", "drawn"),
    [
        ({"a": 100, "b": 100}, 10, {"a": 5, "b": 5}),
        ({"a": 3, "b": 100, "c": 100}, 21, {"a": 3, "b": 9, "c": 9}),
        ({"a": 2, "b": 3}, 100, {"a": 2, "b": 3}),
        ({"a": 9, "b": 9, "c": 9}, 2, {"a": 0, "b": 1, "c": 1}),
    ],
)
def test_each_band_gets_the_same_as_far_as_it_has_it(population, size, drawn) -> None:
    assert allot(population, size) == drawn


def test_intervals_are_wilsons_also_where_all_are_right() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bands_are_weighed_by_their_tags() -> None:
    one = [Band("0.9-1.0", 100, 10, 8)]
    assert together(one) == pytest.approx((0.8, *wilson(8, 10)))
    share, low, high = together([*one, Band("0.1-0.2", 300, 20, 0), Band("0.5-0.6", 50, 0, 0)])
    assert share == pytest.approx(0.2)
    assert low < share < high
    assert together([Band("0.5-0.6", 50, 0, 0)]) is None


def test_the_suggested_probability_is_the_least_that_keeps_the_promise() -> None:
    bands = [
        Band("0.2-0.3", 100, 50, 10),
        Band("0.8-0.9", 100, 50, 46),
        Band("0.9-1.0", 100, 200, 199),
    ]
    found = least_probability(bands, 0.1)
    assert (found["threshold"], found["sure_threshold"]) == (0.8, 0.8)
    assert found["share_of_tags"] == pytest.approx(2 / 3, abs=1e-4)
    assert least_probability(bands, 0.001)["threshold"] is None
    few = [Band("0.8-0.9", 100, 10, 9), bands[2]]  # of too few to be sure
    found = least_probability(few, 0.1)
    assert (found["threshold"], found["sure_threshold"]) == (0.8, 0.9)
