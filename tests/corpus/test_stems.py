"""Words by their stems: inflected forms in several scripts find their label."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.config.languages import LANGUAGES, STEMMERS, checked, known
from lmtx_ray.corpus.stems import Words, identity_of
from lmtx_ray.corpus.words import document_words, words
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical import LexicalIndex

INFLECTED = {  # language: a label, and a text that names it in other forms
    "ru": ("сердечная недостаточность", "Лечение острой сердечной недостаточности у взрослых"),
    "el": ("καρδιακή ανεπάρκεια", "Θεραπεία ΤΗΣ ΚΑΡΔΙΑΚΉΣ ανεπάρκειας"),
    "ar": ("معلم", "تدريب المعلمين في القرى"),
    "zh": ("考古学", "中国考古学的历史"),
    "ja": ("糖尿病", "２型糖尿病の患者"),
    "de": ("Krankenhaus", "Ausstattung der Krankenhäuser im Süden"),
    "fr": ("maladie cardiaque du cheval", "Les maladies cardiaques chez les chevaux"),
}
ALL = tuple(sorted(INFLECTED))


@pytest.mark.parametrize("language", ALL)
@pytest.mark.parametrize("together", [False, True])
def test_inflected_words_find_their_label(language: str, together: bool) -> None:
    labels = [label for label, _ in INFLECTED.values()]
    index = LexicalIndex.build(labels, ALL if together else (language,))
    label, text = INFLECTED[language]
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, text)
        assert index.search([written], 2)[0].tolist() == [[labels.index(label), PADDING]]


@pytest.mark.parametrize("language", ["ru", "el", "ar", "de", "fr"])
def test_without_stems_the_same_words_are_named_less_or_not_at_all(language: str) -> None:
    label, text = INFLECTED[language]
    share = [
        len(set(rule.document(text)) & set(rule.label(label)[0])) / len(set(rule.label(label)[0]))
        for rule in (Words(), Words((language,)))
    ]
    assert share[0] < share[1] == 1.0


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_language_cuts_labels_into_words_of_their_documents(code: str) -> None:
    rule = Words((code,))
    for text in ("Heart-failure 12", *(label for label, _ in INFLECTED.values())):
        (own,) = rule.label(text)
        assert own
        assert set(own) <= set(rule.document(text))
        assert all(word and " " not in word for word in own)


def test_of_several_languages_each_makes_its_text_of_a_label() -> None:
    rule = Words(("en", "de"))
    assert rule.languages == ("de", "en")
    assert rule.label("Berlin") == [["berlin"]]
    assert rule.label("the houses") == [["the", "hous"], ["hous"]]
    assert rule.document("Häuser der Stadt") == ["haus", "hauser", "der", "stadt"]


def test_function_words_of_the_languages_are_left_out() -> None:
    assert Words(("de",)).label("Geschichte der Medizin") == [["geschicht", "medizin"]]
    assert Words(("fr",)).label("DÉBUT DE L'ANNÉE") == [["debut", "anne"]]
    assert Words(("ru",)).label("история и культура") == Words(("ru",)).label("история, культура")


def test_without_languages_words_are_as_before() -> None:
    text = "The Études of arteries, 糖尿病"
    assert Words().label(text) == [words(text)]
    assert Words().document(text) == document_words(text)
    assert Words().identity == identity_of(())


def test_rules_that_cut_otherwise_have_another_identity() -> None:
    found = [identity_of(languages) for languages in ((), ("de",), ("en",), ("de", "en"))]
    assert len(set(found)) == 4


@settings(max_examples=60, deadline=None)
@given(st.text(), st.sets(st.sampled_from(sorted(LANGUAGES)), min_size=1, max_size=3))
def test_a_label_always_shares_all_its_words_with_itself(text: str, codes: set[str]) -> None:
    rule = Words(tuple(codes))
    document = set(rule.document(text))
    for own in rule.label(text):
        assert set(own) <= document
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert rule.document(composed) == rule.document(decomposed)


def test_codes_are_checked_with_near_matches() -> None:
    assert checked(["fr", "de", "fr"]) == ("de", "fr")
    for code, near in {"german": r"de \(german\)", "DE": "de", "ger": "de", "de-AT": "de"}.items():
        with pytest.raises(ValueError, match=near):
            checked([code])
    with pytest.raises(ValueError, match="codes are ar, ca"):
        checked(["xx1"])


def test_of_tags_those_that_are_known_are_taken() -> None:
    assert known(["de-AT", "EN", None, "zh_Hans", "tlh", ""]) == ("de", "en", "zh")
    assert set(STEMMERS) < set(LANGUAGES)
