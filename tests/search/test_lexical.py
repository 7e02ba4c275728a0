"""Labels whose words a document names: the order, and one answer from any form of the index."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lmtx_ray.search import lexical
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.vocabulary import SortedWords, finder

LABELS = ["Heart Failure", "Heart", "Kidney Failure, Chronic", "Études", "the", "Lenses"]


def test_labels_named_in_full_come_before_labels_named_in_part() -> None:
    index = LexicalIndex.build(LABELS)
    ids, scores = index.search(["Failure of the heart in chronic disease", "no word known"], 4)
    assert ids[0].tolist() == [0, 1, 2, PADDING]
    assert (np.diff(scores[0][:3]) < 0).all()
    assert ids[1].tolist() == [PADDING] * 4


def test_scores_are_those_of_the_formula() -> None:
    """Of "Heart Failure" for a document that names both its words, one of them twice."""
    index = LexicalIndex.build(LABELS)
    _, scores = index.search(["failure, heart failure", "heart"], 1)
    idf = np.log1p(6 / 2)  # of "heart" and "failure", in two of six labels each
    mean = (2 + 1 + 3 + 1 + 1 + 1) / 6
    weight = idf / (1 + 3 * 2 / mean)
    assert scores[0, 0] == pytest.approx(weight * (1 + 1 + np.log(2)))
    alone = np.log1p(6 / 2) / (1 + 3 * 1 / mean)
    assert scores[1, 0] == pytest.approx(alone)


@pytest.fixture(scope="module")
def made() -> tuple[list[str], list[str]]:
    """Labels and documents of the same words, few of them in most."""
    draw = random.Random(1)
    known = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 7))) for _ in range(300)]

    def text(most: int) -> str:
        places = (min(int(draw.paretovariate(0.5)), 299) for _ in range(draw.randint(0, most)))
        return " ".join(known[place] for place in places)

    return [text(5) for _ in range(3000)], [text(60) for _ in range(70)]


@pytest.mark.parametrize("most", [1, 40, 2000, 10_000])
def test_however_much_is_scored_at_once_the_answer_has_the_same_bits(
    made: tuple[list[str], list[str]], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    documents = documents[:3] if most == 1 else documents
    expected = index.search(documents, 20)
    monkeypatch.setattr(lexical, "MOST_FOUND", max(most, 30))
    monkeypatch.setattr(lexical, "BLOCK", 16)
    for found, whole in zip(index.search(documents, 20), expected, strict=True):
        assert np.array_equal(found, whole)


def test_blocks_hold_no_more_than_they_may(
    made: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    sizes: list[int] = []
    scores = lexical._scores

    def counted(*arguments: object) -> object:
        found = scores(*arguments)
        sizes.append(found.nnz)
        return found

    monkeypatch.setattr(lexical, "_scores", counted)
    monkeypatch.setattr(lexical, "MOST_FOUND", 500)
    index.search(documents, 20)
    assert len(sizes) > 1
    assert max(sizes) <= 500


def test_a_lexical_index_is_mapped_and_answers_the_same(
    made: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    labels, documents = made
    index = LexicalIndex.build(iter(labels))
    index.save(tmp_path)
    loaded = LexicalIndex.load(tmp_path)
    assert "lexical.safetensors" in Path("/proc/self/maps").read_text()
    for found, expected in zip(
        loaded.search(documents, 9), index.search(documents, 9), strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("broken", ["labels", "starts", "share", "count"])
def test_weights_that_are_no_matrix_are_refused_by_name(tmp_path: Path, broken: str) -> None:
    LexicalIndex.build(LABELS).save(tmp_path)
    file = tmp_path / "lexical.safetensors"
    arrays = load_file(file)
    if broken == "share":
        del arrays["share"]
    else:
        arrays[broken] = arrays[broken] - 5  # labels below 0, or not as many as are named
    save_file(arrays, file)
    with pytest.raises(ValueError, match=r"lexical.safetensors: "):
        LexicalIndex.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        LexicalIndex.load(tmp_path / "absent")


def test_an_index_made_by_other_rules_for_words_is_refused(tmp_path: Path) -> None:
    LexicalIndex.build(LABELS).save(tmp_path)
    file = tmp_path / "lexical.safetensors"
    arrays = load_file(file)
    save_file({**arrays, "words_version": arrays["words_version"] - 1}, file)
    with pytest.raises(ValueError, match=r"lexical.safetensors: its words are of version 1, not 2"):
        LexicalIndex.load(tmp_path)


def test_words_are_found_at_their_places_and_others_are_not() -> None:
    known = sorted({"a", "aa", "b", "ba", "étude", "z" * 40, "10"})
    place = finder(SortedWords.of(known))
    assert [place(word) for word in known] == list(range(len(known)))
    assert [place(word) for word in ("", "0", "ab", "zz", "étud")] == [None] * 5
    assert finder(SortedWords.of([]))("a") is None
