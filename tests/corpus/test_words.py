"""Words in every script, and texts as they are compared."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus.lengths import count_words, first_words
from lmtx_ray.corpus.words import STOPWORDS, document_words, search_key, words
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical import LexicalIndex

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "biomedical"
LABELS = {  # a label, and a text that names it
    "археология": "Вводный курс: АРХЕОЛОГИЯ Сибири.",
    "сердечная недостаточность": "Хроническая сердечная недостаточность у детей",
    "καρδιά": "Η ΚΑΡΔΙΆ του ανθρώπου",
    "علم الآثار": "مقدمة في عِلْم الآثار القديمة",
    "הַלֵּב": "מחלות הלב והריאות",
    "考古学": "中国考古学的历史",
    "糖尿病": "２型糖尿病の患者",
    "茶": "日本の茶道について",
    "ガン": "胃ｶﾞﾝの手術",
    "당뇨병": "당뇨병은 흔한 질환이다",
    "मधुमेह": "मधुमेह के रोगी, १०",
    "มะเร็งปอด": "ผู้ป่วยมะเร็งปอดระยะแรก",
    "Sjögren": "Sjøgren's syndrome",
    "Straßenbau": "STRASSENBAU in Köln",
    "ligne 12": "la ligne ١٢",
}


def test_words_are_folded_to_what_labels_and_texts_share() -> None:
    assert words("The Études of arteries, lenses & viruses") == words("étude artery lense viruse")
    assert words("analysis of mass in the pus") == ["analysis", "mass", "pus"]


@pytest.mark.parametrize("label", LABELS)
def test_a_text_that_names_a_label_finds_it_first_in_any_script(label: str) -> None:
    index = LexicalIndex.build([*LABELS, "", "❤️", "…"])
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, LABELS[label])
        assert index.search([text], 2)[0][0, 0] == list(LABELS).index(label)
        assert set(words(unicodedata.normalize(form, label))) <= set(document_words(text))
    assert set(index.search(["", "❤️ … \u200b", "?"], 3)[0].ravel().tolist()) == {PADDING}


def words_before(text: str) -> list[str]:
    """The rule of version 1, by which the results on the sample were reached."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    found = [word for word in re.findall("[a-z0-9]+", plain) if word not in STOPWORDS]
    return [singular_before(word) for word in found]


def singular_before(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") and len(word) > 4 else word[:-1]


@settings(max_examples=80, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_are_what_they_were(text: str) -> None:
    assert words(text) == document_words(text) == words_before(text)
    assert words(f"{text} ❤") == words_before(text)  # not by the short way


def test_words_of_the_sample_are_what_they_were() -> None:
    labels = {word for row in sample("labels")[::5] for word in words_before(row["title"])}
    assert labels == {word for row in sample("labels")[::5] for word in words(row["title"])}
    documents = [f"{row['title']}. {row['content']}" for row in sample("test")[::3]]
    english = [text for text in documents if not re.search("[ßłøØ]", text)]
    assert len(documents) - len(english) < 5
    for text in english:  # of letters that no label has there are more now
        known = [word for word in document_words(text) if word in labels]
        assert known == [word for word in words_before(text) if word in labels]


def sample(name: str) -> list[dict]:
    with gzip.open(SAMPLE / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@settings(max_examples=80, deadline=None)
@given(st.text())
def test_composed_and_decomposed_texts_are_one(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert words(composed) == words(decomposed)
    assert document_words(composed) == document_words(decomposed)
    assert search_key(composed) == search_key(decomposed)
    assert set(words(text)) <= set(document_words(text))


def test_pairs_of_letters_stand_for_words_where_no_spaces_do() -> None:
    assert words("2型糖尿病") == ["2", "型糖", "糖尿", "尿病"]
    assert document_words("糖尿 茶") == ["糖尿", "糖", "尿", "茶"]
    assert words("กำลัง") == ["กํา", "าลั", "ลัง"]
    assert words("TNFα, IL-1β® Neurontin™") == ["tnf", "α", "il", "1", "β", "neurontin"]


def test_signs_that_make_another_letter_stay_and_accents_go() -> None:
    assert words("が") != words("か")
    assert words("कि") != words("की")
    assert words("Ёлка й") == words("елка и")
    assert words("soft\u00adhyphen kashi\u0640da") == ["softhyphen", "kashida"]
    assert search_key("Crème, C++ №5") == "creme, c++ no5"


def test_texts_are_cut_behind_a_word() -> None:
    assert first_words("one\n two  three", 2) == "one\n two"
    assert first_words(" one two ", 2) == " one two"
    assert first_words("one", 2) == "one"


@pytest.mark.parametrize(
    ("text", "start", "count"),
    [
        ("心臓病。新しい", "心臓病。", 7),
        ("โรคหัวใจ", "โรคห", 8),
        ("IgG4関連疾患 is rare", "IgG4関連疾", 7),
        ("심장병 환자의 새로운 치료 방법", "심장병 환자의 새로운 치료", 5),
        ("x" * 1000, "x" * 128, 32),
    ],
    ids=["Japanese", "Thai", "mixed", "Korean", "one long run"],
)
def test_a_text_without_spaces_is_counted_and_cut_as_well(text, start, count) -> None:
    assert first_words(text, 4) == start
    assert count_words(text) == count
    assert first_words(text, count) == text
