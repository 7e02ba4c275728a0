"""Prompts as token ids: what a server makes of the same chat, and texts hold no control tokens."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from lmtx_ray.config import ConfigError
from lmtx_ray.corpus import document_text
from lmtx_ray.teacher.framing import NEUTRAL
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig
from lmtx_ray.teacher.reading import spelling_of
from lmtx_ray.teacher.rendering import DOCUMENTS, LABELS, LetterTokenizer, Rendering
from lmtx_ray.teacher.spellings import MOST_TOKENS, answer_tokens
from tests.tiny_tokenizers import FAMILIES, Family, tokenizer_of

TAG = get_prompt("tag")
CHATS = [name for name in FAMILIES if name not in ("reranker", "query_first")]
BYTES = [name for name in CHATS if FAMILIES[name].kind in ("gpt", "llama")]  # decode to the text
SYSTEM = replace(TAG, system="You judge tags.")
CONFIG = TeacherConfig(model="the/model", max_document_tokens=60, max_label_tokens=12)


def config(**changes: Any) -> TeacherConfig:
    return CONFIG.model_copy(update=changes)


MADE: dict[Any, Rendering] = {}


def rendering(name: str, prompt: Prompt = TAG, **changes: Any) -> Rendering:
    key = name, prompt.fingerprint, tuple(changes.items())
    if key not in MADE:
        MADE[key] = _rendering(name, prompt, **changes)
    return MADE[key]


def _rendering(name: str, prompt: Prompt, **changes: Any) -> Rendering:
    return Rendering(tokenizer_of(FAMILIES[name]), prompt, config(**changes))


@cache
def server(name: str) -> Any:
    return tokenizer_of(FAMILIES[name])


def with_template(template: Any, prompt: Prompt = TAG, **changes: Any) -> Rendering:
    tokenizer = tokenizer_of(replace(FAMILIES["chatml"], template=None))
    tokenizer.chat_template = template
    return Rendering(tokenizer, prompt, config(**changes))


def content(document: str, label: str, prompt: Prompt = TAG) -> str:
    return prompt.before + document + prompt.between + label + prompt.after


def shown(made: Rendering, document: str = "A study.", label: str = "heart") -> str:
    return made.letters.decode(made.whole(document, label))


def chat(tokenizer: Any, text: str, system: str = "", **settings: Any) -> str:
    """What a server renders."""
    messages = [{"role": "system", "content": system}] if system else []
    return tokenizer.apply_chat_template(
        [*messages, {"role": "user", "content": text}], tokenize=False, add_generation_prompt=True,
        **{"enable_thinking": False, **settings},
    )  # fmt: skip


@pytest.mark.parametrize("name", CHATS)
def test_ids_are_those_of_the_whole_rendered_text(name: str) -> None:
    tokenizer, made = server(name), rendering(name)
    system = NEUTRAL if name == "demanding" else ""
    ending = "\n</think>\n\n" if name == "deepseek" else ""
    for document in filter(None, DOCUMENTS):
        for label, ids in zip(LABELS, made.questions(None, document, LABELS), strict=True):
            text = chat(tokenizer, content(document_text(None, document), label), system) + ending
            assert ids == tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", CHATS)
def test_each_document_and_each_label_is_tokenised_once(name: str) -> None:
    assert rendering(name)._seam > 0


def texts(name: str) -> st.SearchStrategy[str]:
    family = FAMILIES[name]
    pieces = [*family.special, *family.others, *DOCUMENTS, *LABELS, "\n", " ", ">>>", "»", "<",
              "|>", "yes", "\U000f0000", "\U000f0003"]  # fmt: skip
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


def test_a_base_model_gets_its_first_token_and_the_cue() -> None:
    tokenizer = tokenizer_of(replace(FAMILIES["llama3"], template=None))
    assert shown(Rendering(tokenizer, TAG, CONFIG)) == content("A study.", "heart") + "\nAnswer:"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.bos_token_id)]
    )
    made = Rendering(tokenizer, SYSTEM, config(answer_prefix=" It is"))
    text = f"You judge tags.\n\n{content('A study.', 'heart')}\nAnswer: It is"
    assert made.whole("A study.", "heart") == tokenizer.encode(text)
    assert made.questions(None, "A study.", ["heart"])[0][0] == tokenizer.bos_token_id
    assert shown(rendering("chatml", chat="never")) == content("A study.", "heart") + "\nAnswer:"


def test_a_system_message_goes_where_the_template_has_it_or_before_the_question() -> None:
    assert shown(rendering("chatml", SYSTEM)).startswith(
        "<|im_start|>system\nYou judge tags.<|im_end|>\n<|im_start|>user\nBelow is"
    )
    assert shown(rendering("gemma", SYSTEM)).startswith(
        "<bos><turn>user\nYou judge tags.\n\nBelow is"
    )
    assert shown(rendering("demanding", SYSTEM)).startswith("<s> system: You judge tags.</s>")
    assert "system" not in shown(rendering("chatml"))
    drops = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    assert shown(with_template(drops, SYSTEM)).startswith("You judge tags.\n\nBelow is")


def test_a_system_message_holds_no_control_tokens() -> None:
    made = rendering("chatml", replace(TAG, system="<|im_end|> is a word"))
    assert sum(token in made.letters.control for token in made.whole("", "")) == 7


def test_an_answer_prefix_begins_the_models_turn() -> None:
    made = rendering("chatml", answer_prefix="My answer is")
    assert shown(made).endswith("assistant\n<think>\n\n</think>\n\nMy answer is")


def test_opened_thoughts_are_closed_at_once_or_left_open() -> None:
    assert shown(rendering("deepseek")).endswith("<｜Assistant｜><think>\n\n</think>\n\n")
    assert shown(rendering("deepseek", thinking_tokens=9)).endswith("<｜Assistant｜><think>\n")
    assert shown(rendering("chatml", thinking_tokens=9)).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("name", "said", "ended", "then"),
    [
        ("deepseek", "It is.\n</think>", True, "It is.\n</think>\n\nSo:"),
        ("deepseek", "It is.\n</think>\n\n", True, "It is.\n</think>\n\nSo:"),
        ("deepseek", "It is", True, "It is\n</think>\n\nSo:"),
        ("deepseek", "It is", False, None),
        ("chatml", "<think>It", False, None),
        ("chatml", "<think>It</think>", True, "<think>It</think>\n\nSo:"),
        ("chatml", "Yes, it is", False, "So:"),  # it did not think
    ],
)
def test_after_thoughts_comes_the_answer(
    name: str, said: str, ended: bool, then: str | None
) -> None:
    made = rendering(name, thinking_tokens=9, answer_prefix="So:")
    question = made.whole("A study.", "heart")
    ids = made.resumed(question, made.letters.encode(made.letters.mark(said)), ended)
    assert (ids and made.letters.decode(ids)) == (then and made.letters.decode(question) + then)


def test_a_reranker_is_asked_in_its_own_form_where_the_document_comes_first() -> None:
    made = rendering("reranker")
    assert shown(made) == (
        "<|im_start|>user\nTask: Is this tag relevant to the document? Reply yes or no.\nDocument: "
        "A study.\nQuery: heart<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    with pytest.raises(ConfigError, match=r"the/model.*query before the.*judge\.teacher\.chat"):
        rendering("query_first")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('only on Mondays') }}", "refuses: only on Mondays"),
        ("{{ messages[0].content + 1 }}", "refuses: "),
        ("{% if %}", "refuses: "),
        ("nothing is heard", "does not put the question into the prompt"),
        ("{{ messages[-1].content * 2 }}", "does not put the question into the prompt, or not"),
        ({"tool_use": "x"}, "refuses: "),
    ],
)
def test_a_template_that_cannot_ask_is_named_with_what_it_says(template: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_template(template)
    message = str(caught.value)
    assert said in message
    assert "judge.teacher.model 'the/model'" in message
    assert "judge.teacher.chat" in message


def test_a_template_is_wanted_and_missing() -> None:
    with pytest.raises(ConfigError, match=r"judge\.teacher\.chat is 'always', but"):
        with_template(None, chat="always")


def test_of_named_templates_the_default_is_taken() -> None:
    made = with_template({"default": FAMILIES["chatml"].template, "tool_use": "x"})
    assert shown(made) == shown(rendering("chatml"))


def test_quoting_templates_are_warned_of_and_texts_go_in_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    template = "{% for m in messages %}<|im_start|>{{ m.content | tojson }}<|im_end|>{% endfor %}"
    with caplog.at_level(logging.WARNING):
        made = with_template(template)
    document = 'a "b"'
    assert shown(made, document) == f'<|im_start|>"{content(document, "heart")}"<|im_end|>'
    assert [record.message.count("quotes or escapes") for record in caplog.records] == [1]


def test_trimming_templates_trim_a_prompt_of_ones_own_too() -> None:
    own = replace(TAG, before="\n  Look: ", after="? \n")
    made = rendering("llama3", own)
    tokenizer = tokenizer_of(FAMILIES["llama3"])
    text = chat(tokenizer, content("A study.", "heart", own))
    assert made.whole("A study.", "heart") == tokenizer.encode(text, add_special_tokens=False)


def test_content_in_parts_is_given_to_templates_that_want_it_so() -> None:
    parts = (
        "{% for m in messages %}{% for part in m.content %}{% if part.type == 'text' %}"
        "<|im_start|>{{ part.text }}<|im_end|>{% endif %}{% endfor %}{% endfor %}"
    )
    assert shown(with_template(parts)) == (
        f"<|im_start|>{content('A study.', 'heart')}<|im_end|>"
    )


def test_a_control_prompt_needs_a_model_with_its_tokens() -> None:
    with pytest.raises(ConfigError, match=r"prompt 'judge'.*'the/model' has no token '<tag>'"):
        rendering("chatml", get_prompt("judge"))


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
