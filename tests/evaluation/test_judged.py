"""A judge's own opinion, corrected by what people said of some of its answers."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.evaluation.judged import Judged, Reviewed, agreement_of


def drawn(documents: int, seed: int = 1) -> tuple[Judged, np.ndarray]:
    """A judge that accepts 80 % of right labels and 30 % of wrong ones; (its view, the truth)."""
    generator = np.random.default_rng(seed)
    right = generator.random((documents, 3)) < 0.6
    accepts = generator.random((documents, 3)) < np.where(right, 0.8, 0.3)
    nobody, all_there = np.zeros_like(right), np.ones_like(right)
    return Judged(accepts, nobody, all_there), right


def test_the_opinion_is_what_the_judge_accepts() -> None:
    judged, _ = drawn(400)
    told = judged.precision([1, 3])
    assert told["P@1"] == pytest.approx(judged.accepts_BK[:, 0].mean(), abs=1e-6)
    low, high = told["P@3_ci"]
    assert low < told["P@3"] < high


def test_reviewed_answers_take_the_judges_error_out() -> None:
    judged, right = drawn(400)
    accepted, truth = judged.accepts_BK[:200].ravel(), right[:200].ravel()
    reviewed = Reviewed(
        int(accepted.sum()),
        int(truth[accepted].sum()),
        int((~accepted).sum()),
        int(truth[~accepted].sum()),
    )
    told = judged.corrected(reviewed, [1, 3])
    low, high = told["P@3_ci"]
    assert low < right.mean() < high
    assert abs(told["P@3"] - right.mean()) < 0.05
    assert judged.precision([3])["P@3"] < 0.62  # what the judge alone says, of 0.6 drawn as right
    wide = judged.corrected(Reviewed(5, 4, 5, 1), [3])["P@3_ci"]
    assert wide[1] - wide[0] > 2 * (high - low)
    assert judged.corrected(Reviewed(0, 0, 3, 1), [1]) is None


def test_where_nobody_looked_at_refused_labels_the_judge_is_taken_at_its_word() -> None:
    refused = Judged(*(np.full((50, 1), value) for value in (False, False, True)))
    told = refused.corrected(Reviewed(4, 4, 0, 0), [1])
    assert (told["P@1"], told["P@1_ci"]) == (0.0, [0.0, 0.0])
    assert refused.corrected(Reviewed(4, 4, 4, 1), [1])["P@1_ci"][1] > 0.3


def test_what_a_person_said_of_a_pair_stands_as_it_is() -> None:
    yes = np.array([[True, True], [False, True]])
    judged = Judged(yes, np.ones((2, 2), bool), np.array([[True, True], [True, False]]))
    told = judged.corrected(Reviewed(4, 1, 4, 3), [2])
    assert told["P@2"] == judged.precision([2])["P@2"] == 0.5  # absent labels are wrong


def test_agreement_is_accuracy_and_kappa() -> None:
    assert agreement_of(45, 60, 15, 40) == {"accuracy": 0.7, "kappa": pytest.approx(0.375)}
    assert agreement_of(10, 10, 0, 0) == {"accuracy": 1.0, "kappa": None}
    assert agreement_of(0, 0, 0, 0) == {"accuracy": None, "kappa": None}
    assert Reviewed(60, 45, 40, 15).to_dict()["pairs"] == 100
