"""The parts of `benchmarks.lexical` that decide what is measured."""

from __future__ import annotations

import numpy as np

from benchmarks.lexical import asked_of, made_labels
from benchmarks.lexical_sets import FUSED, by_halves, chosen, compared, told


def test_made_labels_are_the_same_each_time_and_few_words_are_frequent() -> None:
    first, again = (list(made_labels(3000)) for _ in range(2))
    assert first == again
    words = [word for text in first for word in text.split()]
    assert {len(text.split()) for text in first} == {2, 3, 4, 5}
    assert max(words.count(word) for word in words[:50]) > 40
    assert len(set(words)) > len(words) / 4


def test_of_many_labels_those_of_gold_are_kept_at_their_new_places() -> None:
    labels = [f"label {n}" for n in range(100)]
    truth = [frozenset({3, 90}), frozenset({50}), frozenset()]
    kept, moved = chosen(labels, truth, 10)
    assert len(kept) == 10
    names = [{labels[n] for n in own} for own in truth]
    assert [{kept[n] for n in own} for own in moved] == names
    assert chosen(labels, truth, 0) == (labels, truth)


def test_what_was_asked_says_what_is_met() -> None:
    speed = {
        "labels": 9,
        "build_clock_seconds": 61.0,
        "documents_a_second_by_the_clock": 500,
        "search_gib": 0.1,
    }
    sets = {"one": {f"{FUSED}, R@10": [0.5, 0.1, 0.9], f"{FUSED}, R@100": [-0.5, -1.0, 0.1]}}
    found = asked_of({"speed": speed, "sets": sets})
    assert [one["met"] for one in found] == [False, True, True, True, False]


def test_a_constant_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    """Of even documents words know the first right label, of odd ones the encoder does."""
    dense = np.tile(np.arange(100, 200), (8, 1))
    lexical = np.tile(np.arange(100), (8, 1))
    truth = [frozenset({0 if n % 2 == 0 else 100, 101}) for n in range(8)]
    found = compared(dense, lexical, truth, 200)
    result = told(found)
    assert (result["documents"], result["lexical"]["P@1"]) == (8, 50.0)
    assert result["dense"]["R@10"] == 75.0
    assert result["fused"]["R@10"] == 100.0
    assert result[f"{FUSED}, R@10"][0] == 25.0
    first, second = by_halves({"one": found})
    assert first["chosen"] == second["chosen"] == 1  # all are equal: the smallest
    assert first["on the other half"]["one"]["R@10"]["over the better of both"][0] == 0.0
    assert second["on the other half"]["one"]["P@1"]["over the better of both"][0] == 0.0
