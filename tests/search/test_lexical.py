"""Labels whose words a document names: the order, and one answer from any form of the index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lmtx_ray.search import lexical, lexical_best
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.lexical_weights import Weights
from lmtx_ray.search.vocabulary import SortedWords, finder
from tests.search.made_texts import Made, made_texts


@pytest.fixture(autouse=True, params=[0, 1 << 17], ids=["large", "small"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is searched in the one way or the other by the number of its texts."""
    monkeypatch.setattr(lexical_best, "SMALL", request.param)


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
def made() -> Made:
    return made_texts()


def of_every_text(weights: Weights, index: LexicalIndex, document: str, k: int) -> list[tuple]:
    """(score, label) of the k best, by looking at every text."""
    counts = dict(zip(*(values.tolist() for values in index._counts(document)), strict=True))
    best: dict[int, np.float32] = {}
    for text, label in enumerate(weights.labels_T.tolist()):
        own = weights.words_N[weights.starts_T[text] : weights.starts_T[text + 1]].tolist()
        idf = {place: weights.idf_V[place] for place in own if place in counts}
        asked = sum(value * (1 + np.log(counts[place])) for place, value in idf.items())
        share = sum(idf.values()) ** 2 * weights.scale_T[text]
        best[label] = max(best.get(label, np.float32(0)), np.float32(asked * share))
    found = sorted((-score, label) for label, score in best.items() if score > 0)
    return [(-score, label) for score, label in found[:k]]


@pytest.mark.parametrize("k", [1, 10, 4000])
def test_the_answer_is_that_of_looking_at_every_text(made: Made, k: int) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    for document in documents[:6]:
        ids_1K, scores_1K = index.search([document], k)
        kept = ids_1K[0] != PADDING
        expected = of_every_text(index._weights, index, document, k)
        assert scores_1K[0][kept] == pytest.approx([score for score, _ in expected], rel=1e-6)
        assert len(set(ids_1K[0][kept].tolist())) == kept.sum() == len(expected)
        by_label = {label: score for score, label in expected}
        for label, score in zip(ids_1K[0][kept].tolist(), scores_1K[0][kept], strict=True):
            # of equal scores other ones may come first where sums round otherwise
            assert by_label.get(label, expected[-1][0]) == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.9])
def test_only_allowed_labels_are_found_and_all_of_them(made: Made, share: float) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    allowed_L = np.random.default_rng(0).random(len(labels)) < share
    every_BK, scores_BK = index.search(documents, len(labels))
    found_BK, found_scores_BK = index.search(documents, 10, allowed_L)
    for row in range(len(documents)):
        own = [
            n for n in range(len(labels)) if every_BK[row, n] >= 0 and allowed_L[every_BK[row, n]]
        ]
        kept = found_BK[row] != PADDING
        assert found_BK[row][kept].tolist() == every_BK[row][own[:10]].tolist()
        assert np.array_equal(found_scores_BK[row][kept], scores_BK[row][own[:10]])


@pytest.mark.parametrize("languages", [(), ("de", "en")])
def test_a_lexical_index_is_mapped_and_answers_the_same(
    made: Made, tmp_path: Path, languages: tuple[str, ...]
) -> None:
    labels, documents = made
    index = LexicalIndex.build(iter(labels), languages)
    index.save(tmp_path)
    loaded = LexicalIndex.load(tmp_path)
    assert loaded.words.languages == languages
    assert "lexical.safetensors" in Path("/proc/self/maps").read_text()
    for found, expected in zip(
        loaded.search(documents, 9), index.search(documents, 9), strict=True
    ):
        assert np.array_equal(found, expected)


def test_a_file_that_does_not_say_what_texts_weigh_at_most_answers_the_same(
    made: Made, tmp_path: Path
) -> None:
    labels, documents = made
    index = LexicalIndex.build(labels)
    index.save(tmp_path)
    arrays = load_file(tmp_path / "lexical.safetensors")
    kept = index._weights.rest_V
    assert np.allclose(arrays.pop("rest_V"), kept)
    save_file(arrays, tmp_path / "lexical.safetensors")
    loaded = LexicalIndex.load(tmp_path)
    assert np.array_equal(loaded._weights.rest_V, kept)
    for found, expected in zip(
        loaded.search(documents, 9), index.search(documents, 9), strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "broken",
    [
        "labels_T",
        "firsts_V",
        "words_N",
        "texts_N",
        "starts_T",
        "idf_V",
        "rest_V",
        "top",
        "word_ends",
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, broken: str) -> None:
    LexicalIndex.build(LABELS).save(tmp_path)
    file = tmp_path / "lexical.safetensors"
    arrays = load_file(file)
    if broken == "top":
        del arrays["top"]
    elif broken == "idf_V":
        arrays[broken] = arrays[broken][1:].copy()
    else:
        arrays[broken] = arrays[broken] - 5  # numbers below 0, or not as many as are named
    save_file(arrays, file)
    with pytest.raises(ValueError, match=r"lexical.safetensors: "):
        LexicalIndex.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        LexicalIndex.load(tmp_path / "absent")


def test_an_index_made_by_other_rules_for_words_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LexicalIndex.build(LABELS, ["de"]).save(tmp_path)
    LexicalIndex.load(tmp_path)
    monkeypatch.setattr(lexical, "LEXICAL_VERSION", 0)
    with pytest.raises(
        ValueError, match=r"lexical.safetensors: its words are by rule '1/2 de snow"
    ):
        LexicalIndex.load(tmp_path)


def test_an_index_of_a_language_that_is_not_known_is_refused(tmp_path: Path) -> None:
    LexicalIndex.build(LABELS).save(tmp_path)
    file = tmp_path / "lexical.safetensors"
    save_file({**load_file(file), "languages": np.frombuffer(b"xx", np.uint8).copy()}, file)
    with pytest.raises(ValueError, match=r"lexical.safetensors: 'xx' is no language"):
        LexicalIndex.load(tmp_path)


def test_an_index_of_no_words_finds_nothing(tmp_path: Path) -> None:
    for labels in ([], ["the", "…"]):
        LexicalIndex.build(labels).save(tmp_path)
        ids_BK, _ = LexicalIndex.load(tmp_path).search(["the heart", ""], 3)
        assert ids_BK.tolist() == [[PADDING] * 3] * 2


def test_words_are_found_at_their_places_and_others_are_not() -> None:
    known = sorted({"a", "aa", "b", "ba", "étude", "z" * 40, "10"})
    place = finder(SortedWords.of(known))
    assert [place(word) for word in known] == list(range(len(known)))
    assert [place(word) for word in ("", "0", "ab", "zz", "étud")] == [None] * 5
    assert finder(SortedWords.of([]))("a") is None
