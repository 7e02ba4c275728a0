"""The best labels of a large index, found without scoring all."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lmtx_ray.search import lexical_best
from lmtx_ray.search.lexical import LexicalIndex
from tests.search.made_texts import Made, made_texts


@pytest.fixture(autouse=True)
def _none_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical_best, "SMALL", 0)


@pytest.fixture(scope="module")
def made() -> Made:
    return made_texts()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts are scored at once, each time."""
    sizes: list[int] = []
    scores = lexical_best.Asker._scores

    def counting(asker: lexical_best.Asker, *spans: np.ndarray) -> np.ndarray:
        sizes.append(len(spans[0]))
        return scores(asker, *spans)

    monkeypatch.setattr(lexical_best.Asker, "_scores", counting)
    return sizes


@pytest.mark.parametrize(("most", "looked_at"), [(100, 24), (7000, 1), (1 << 19, 10_000)])
def test_however_much_is_scored_at_once_the_answer_has_the_same_bits(
    made: Made, most: int, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    expected = index.search(documents, 20)
    monkeypatch.setattr(lexical_best, "MOST_AT_ONCE", most)
    monkeypatch.setattr(lexical_best, "LOOKED_AT", looked_at)
    for found, whole in zip(index.search(documents, 20), expected, strict=True):
        assert np.array_equal(found, whole)
    one = [index.search([document], 20) for document in documents]
    for place, whole in enumerate(expected):
        assert np.array_equal(np.concatenate([found[place] for found in one]), whole)


def test_no_more_texts_are_scored_at_once_than_may_be(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    sizes = counted(monkeypatch)
    monkeypatch.setattr(lexical_best, "MOST_AT_ONCE", 500)
    index.search(documents, 400)
    assert 0 < max(sizes) <= 500


def test_only_few_of_the_texts_with_a_frequent_word_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(3)
    labels = [f"history of w{draw.randrange(3000)} w{draw.randrange(3000)}" for _ in range(20_000)]
    index = LexicalIndex.build([*labels, "w1 w2"])
    looked = counted(monkeypatch)
    ids_1K, _ = index.search(["a history of w1, w2, " + " ".join(labels[:9])], 10)
    assert 20_000 in ids_1K[0].tolist()
    assert sum(looked) < 2000


def test_a_word_that_is_often_there_does_not_make_more_texts_of_the_others_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(3)

    def text(words: int) -> str:
        return " ".join(f"w{int(3000 ** draw.random())}" for _ in range(words))

    index = LexicalIndex.build([text(2) for _ in range(20_000)])
    looked = counted(monkeypatch)
    index.search([text(40) for _ in range(20)], 5)
    assert sum(looked) < 15_000  # 21,500 where each word could count as the most frequent does


def test_of_a_few_allowed_labels_no_other_text_is_scored(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    monkeypatch.setattr(lexical_best, "SMALL", len(labels) - 1)
    looked, allowed_L = counted(monkeypatch), np.zeros(len(labels), bool)
    allowed_L[::100] = True
    ids_BK, _ = index.search(documents, 20, allowed_L)
    assert set((ids_BK[ids_BK >= 0] % 100).tolist()) == {0}
    assert len(looked) == len(documents)
    assert max(looked) <= 2 * allowed_L.sum()
