"""What a bundle is known by, from the summary of its run."""

from __future__ import annotations

import pytest

from lmtx_ray.loop.naming import UNJUDGED, quality_of
from lmtx_ray.loop.shipping import state_of

OPINION = {"mean": 0.75, "low": 0.5, "high": 1.0}


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ("hybrid", (0, "hybrid")),
        ("encoder", (0, "dense")),
        ("cycle_2", (2, "dense")),
        ("cycle_12_hybrid", (12, "hybrid")),
    ],
)
def test_the_method_that_ships_tells_cycle_and_ranking(
    final: str, expected: tuple[int, str]
) -> None:
    assert state_of(final) == expected


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (
            {"final": "hybrid", "methods": {"hybrid": {"P@1": 0.5, "P@1_ci": [0.4, 0.6]}}},
            "P@1 0.50 [0.40, 0.60] against gold",
        ),
        (
            {"final": "cycle_1_hybrid", "selection": {"1": {"hybrid": OPINION}}},
            "P@1 0.75 [0.50, 1.00] by the judge's own opinion",
        ),
        (
            {"final": "cycle_1", "selection": {1: {"dense": OPINION}}},
            "P@1 0.75 [0.50, 1.00] by the judge's own opinion",
        ),
        ({"final": "hybrid", "selection": {}}, f"untrained; {UNJUDGED}"),
    ],
)
def test_quality_is_told_in_words_and_by_whom(summary: dict, words: str) -> None:
    assert quality_of(summary) == words
