"""What chat templates put around a question, and what is said where one cannot ask it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.rendering import Rendering
from tests.rendered import (
    CONFIG,
    SYSTEM,
    TAG,
    chat,
    config,
    content,
    rendering,
    shown,
    with_template,
)
from tests.tiny_tokenizers import FAMILIES, tokenizer_of


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
    assert shown(with_template(parts)) == (f"<|im_start|>{content('A study.', 'heart')}<|im_end|>")


def test_a_control_prompt_needs_a_model_with_its_tokens() -> None:
    with pytest.raises(ConfigError, match=r"prompt 'judge'.*'the/model' has no token '<tag>'"):
        rendering("chatml", get_prompt("judge"))
