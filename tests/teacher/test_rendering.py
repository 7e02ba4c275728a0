"""Prompts as token ids: what a server makes of the same chat, and texts hold no control tokens."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.teacher.framing import NEUTRAL
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.reading import spelling_of
from lmtx_ray.teacher.rendering import DOCUMENTS, LABELS, LetterTokenizer, Rendering
from lmtx_ray.teacher.spellings import MOST_TOKENS, answer_tokens
from tests.rendered import BYTES, CHATS, TAG, chat, config, content, rendering, server, shown
from tests.tiny_tokenizers import FAMILIES, Family, tokenizer_of


@pytest.mark.parametrize("name", CHATS)
def test_ids_are_those_of_the_whole_rendered_text(name: str) -> None:
    tokenizer, made = server(name), rendering(name)
    system = NEUTRAL if name == "demanding" else ""
    ending = "\n</think>\n\n" if name == "deepseek" else ""
    for document in filter(None, DOCUMENTS):
        for label, ids in zip(LABELS, made.questions(None, document, LABELS), strict=True):
            shown_text = TAG.guarded(document_text(None, document))
            text = chat(tokenizer, content(shown_text, label), system) + ending
            assert ids == tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", CHATS)
def test_each_document_and_each_label_is_tokenised_once(name: str) -> None:
    assert rendering(name)._seam > 0


def texts(name: str) -> st.SearchStrategy[str]:
    family = FAMILIES[name]
    pieces = [
        *family.special,
        *family.others,
        *DOCUMENTS,
        *LABELS,
        "\n",
        " ",
        ">>>",
        "»",
        "<",
        "|>",
        "yes",
        "\U000f0000",
        "\U000f0003",
    ]
    letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.lists(st.sampled_from(pieces) | letters, max_size=8).map("".join)


@pytest.mark.parametrize("name", CHATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_text_becomes_a_control_token_or_changes_what_stands_beside_it(
    name: str, data: st.DataObject
) -> None:
    made, family = rendering(name), FAMILIES[name]
    document, label = data.draw(texts(name)), data.draw(texts(name))
    ids = made.questions(None, document, [label])[0]
    cut = made._document(None, document), made._label(label)
    assert ids == made.whole(*cut)
    assert len(ids) < made.longest
    control = made.letters.control
    fixed = [token for token in made.whole("", "") if token in control]
    assert [token for token in ids if token in control] == fixed
    if name in BYTES and not family.strips:
        frame = shown(made, "", "")
        before, after = frame.split(TAG.between)
        assert made.letters.decode(ids) == before + cut[0] + TAG.between + cut[1] + after


@pytest.mark.parametrize("name", CHATS)
@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Co"])))
def test_any_text_has_the_ids_of_the_whole_text_without_control_tokens(
    name: str, text: str
) -> None:
    tokenizer, made = server(name), rendering(name)
    if any(word in text for word in (*FAMILIES[name].special, *FAMILIES[name].others)):
        return
    system = NEUTRAL if name == "demanding" else ""
    ending = "\n</think>\n\n" if name == "deepseek" else ""
    document, label = made._document(None, text), made._label(text)
    whole = chat(tokenizer, content(document, label), system) + ending
    expected = tokenizer.encode(whole, add_special_tokens=False)
    assert made.questions(None, text, [text])[0] == expected


@pytest.mark.parametrize("name", ["gpt", "pieces", "pieces_first", "unigram"])
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])), most=st.integers(1, 9))
def test_a_cut_text_is_a_beginning_of_at_most_so_many_tokens(
    name: str, text: str, most: int
) -> None:
    letters = cutter(name)
    cut = letters.cut(text, most)
    assert text.startswith(cut)
    assert len(letters.encode(cut)) <= most
    if len(letters.encode(text)) <= most:
        assert cut == text


@cache
def cutter(kind: str) -> LetterTokenizer:
    return LetterTokenizer(tokenizer_of(Family(kind, (), None)), "tiny")


def test_documents_and_labels_are_cut_before_they_are_put_in() -> None:
    made = rendering("chatml")
    ids = made.questions(None, "pain " * 500, ["heart " * 100])[0]
    assert made.longest - 20 < len(ids) < made.longest
    assert made.letters.decode(ids).endswith(shown(made).partition("»")[2])


@pytest.mark.parametrize("name", ["chatml", "gemma", "deepseek"])
def test_documents_about_as_long_as_allowed_are_cut_as_by_themselves(name: str) -> None:
    made = rendering(name)
    for count in range(1, 70, 3):
        document = "pain é " * count
        ids = made.questions(None, document, ["heart"])[0]
        assert ids == made.whole(made._document(None, document), "heart")


def test_a_short_document_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = rendering("chatml"), []
    encode = made.letters._encode
    monkeypatch.setattr(made.letters, "_encode", lambda text: seen.append(text) or encode(text))
    made.questions(None, "Étude of pain.", ["heart", "ear"])
    assert sum("Étude" in text for text in seen) == 1


@pytest.mark.parametrize("name", CHATS)
def test_every_spelling_of_an_answer_is_found(name: str) -> None:
    made = rendering(name)
    tokens = answer_tokens(made, TAG.answers, 10_000, "the/model")
    spelt = {made.letters.decode([token]): word for token, word in tokens.items()}
    assert {"yes", "no"} == set(spelt.values())
    assert all(spelling_of(text) == word for text, word in spelt.items())
    assert len(tokens) <= MOST_TOKENS


def test_an_answer_of_several_tokens_is_refused() -> None:
    prompt = replace(TAG, answers={"affirmative": 1.0, "no": 0.0})
    with pytest.raises(ConfigError, match=r"the/model.*no single token spells.*'affirmative'"):
        answer_tokens(rendering("chatml", prompt), prompt.answers, 10_000, "the/model")


def test_grades_are_answers_like_any_other() -> None:
    graded = get_prompt("graded")
    tokens = answer_tokens(rendering("chatml", graded), graded.answers, 10_000, "the/model")
    assert set(tokens.values()) == {"0", "1", "2", "3"}


def test_where_there_are_too_many_spellings_each_word_keeps_some() -> None:
    tokenizer = tokenizer_of(replace(FAMILIES["chatml"], special=()))
    tokenizer.add_tokens([f"{'*' * n}yes{'.' * k}" for n in range(1, 15) for k in range(1, 12)])
    made = Rendering(tokenizer, TAG, config(chat="never"))
    tokens = answer_tokens(made, TAG.answers, len(tokenizer), "the/model")
    words = list(tokens.values())
    assert len(words) == MOST_TOKENS
    assert words.count("no") > 2


def test_a_word_that_a_model_says_in_two_tokens_is_known_by_its_first() -> None:
    made = rendering("chatml")

    def found(*words: str) -> dict[str, str]:
        values = dict.fromkeys(words, 0.0)
        told = answer_tokens(made, values, 700, "m").items()
        return {made.letters.decode([token]): word for token, word in told}

    # "study" and "Study" are two tokens each, " study" is one
    assert (
        found("heart", "study").items()
        >= {"S": "study", " study": "study", "heart": "heart"}.items()
    )
    assert not {"H", "h"} & found("heart", "study").keys()  # "heart" is one
    assert not {"P", "p"} & found("patient", "pain").keys()  # of both
