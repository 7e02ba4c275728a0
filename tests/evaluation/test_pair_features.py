"""What is known of a pair: exact values, and what may not change them."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation.pair_features import FUSED, Known, pair_features

DENSE = np.array([7, 3, 5, -1], np.int32), np.array([0.5, 0.25, 0.125, -np.inf], np.float32)
LEXICAL = np.array([3, 9], np.int32), np.array([8.0, 2.0], np.float32)
RANKED = np.array([3, 7, 9, 5, -1], np.int32), np.array([4, 3, 2, 1, -np.inf], np.float32)


def log1p(*places: int) -> list[float]:
    return (-np.log1p(np.array(places, float))).tolist()


def columns(known: Known, names: tuple[str, ...] = ("score", *FUSED)) -> dict[str, list[float]]:
    features_KF = pair_features(known, names)
    return {name: features_KF[:, place].tolist() for place, name in enumerate(names)}


def test_each_number_of_each_candidate() -> None:
    found = columns(Known(RANKED, DENSE, LEXICAL, depth=4))
    assert found["score"] == [4, 3, 2, 1, 0]
    assert found["cosine"] == [0.25, 0.5, 0.125, 0.125, 0]  # 9: not in the list, at most its last
    assert found["dense_place"] == [*log1p(1, 0, 3, 2), 0]
    assert found["cosine_lead"] == [-0.25, 0.25, -0.375, -0.375, 0]
    assert found["lexical"] == [8, 2, 2, 2, 0]
    assert found["lexical_place"] == [*log1p(0, 2, 1, 2), 0]
    assert found["lexical_lead"] == [6, -6, -6, -6, 0]
    assert found["place"] == [*log1p(0, 1, 2, 3), 0]


def test_what_lies_beyond_the_depth_changes_nothing() -> None:
    """More tags asked for make longer lists, and the same probabilities."""
    longer = (
        np.append(DENSE[0][:3], [9, 1]).astype(np.int32),
        np.append(DENSE[1][:3], [0.1, 0.05]).astype(np.float32),
    )
    short, long = (columns(Known(RANKED, side, LEXICAL, 3), FUSED) for side in (DENSE, longer))
    assert short == long


def test_a_document_that_names_no_label_has_no_lexical_evidence() -> None:
    empty = np.full(3, -1, np.int32), np.full(3, -np.inf, np.float32)
    found = columns(Known(RANKED, DENSE, empty, 4))
    assert found["lexical"] == [0, 0, 0, 0, 0]
    assert found["lexical_lead"] == [0, 0, 0, 0, 0]


def test_a_ranking_without_words_has_no_such_features() -> None:
    with pytest.raises(KeyError, match="lexical"):
        pair_features(Known(RANKED, DENSE, None, 4), ("lexical",))


def test_a_label_without_votes_has_none_and_stands_behind_those_that_have() -> None:
    votes = np.array([5, 7], np.int32), np.array([0.75, 0.25], np.float32)
    known = Known(RANKED, DENSE, LEXICAL, 4, votes, np.zeros(5))
    found = columns(known, ("votes", "votes_place"))
    assert found["votes"] == [0, *np.log1p(20 * np.array([0.25, 0.0, 0.75])).tolist(), 0]
    assert found["votes_place"] == [*log1p(2, 1, 2, 0), 0]
