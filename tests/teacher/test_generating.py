"""A judge that writes phrases: what it is asked, how replies are read, and what is kept."""

from __future__ import annotations

import logging

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher import generating
from lmtx_ray.teacher.protocol import BudgetReached, JudgeUnavailable
from lmtx_ray.teacher.registry import build_generator
from tests import fake_llm
from tests.fake_llm import FakeJudge

TEXTS = ["patients with heart pain and skin disease", "a lung trial", "nothing of the kind"]
DOCUMENTS = pa.table({"doc_id": ["a", "b", "c"], "title": [None] * 3, "text": TEXTS})


class Few:
    """A budget of some requests."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def take(self, requests: int, tokens: int) -> None:
        if self.left < requests:
            raise BudgetReached("used up")
        self.left -= requests

    def give_back(self, requests: int, tokens: int) -> None:
        self.left += requests


def config(judge: FakeJudge, model: str = "ok", **more: object) -> TeacherConfig:
    return TeacherConfig(kind="http", model=model, url=judge.url, **more)


@pytest.mark.parametrize(
    ("reply", "phrases"),
    [
        ("Heart pain\nSkin disease", ["Heart pain", "Skin disease"]),
        ("1. Heart pain\n2) Skin disease.\n\n- *Lungs*", ["Heart pain", "Skin disease", "Lungs"]),
        ("heart pain, skin disease; lungs", ["heart pain", "skin disease", "lungs"]),
        ("Heart\nheart\nHEART", ["Heart"]),
        ("<think>Heart? No doubt.</think>\nLungs", ["Lungs"]),
        ("<think>Heart? and then it was cut", []),
        ("word " * 20, []),  # a sentence is no label
        ("3D printing\n19th century", ["3D printing", "19th century"]),
        ("", []),
        ("<<<\n>>>\n---\n<Heart>", ["Heart"]),
        ("\n".join(f"label {n}" for n in range(30)), [f"label {n}" for n in range(10)]),
    ],
)
def test_a_reply_is_read_as_phrases(reply: str, phrases: list[str]) -> None:
    assert generating.phrases_of(reply) == phrases


def test_each_document_is_asked_once_and_plainly(judge: FakeJudge, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    thinking = config(judge, answer_prefix="Yes", thinking_tokens=64)
    generator = build_generator(thinking)
    table = generator.generate(DOCUMENTS)
    assert table["phrases"].to_pylist() == [["heart pain", "skin disease"], ["lung trial"], []]
    assert table["calls"].to_pylist() == [1, 1, 1]
    assert generator.usage.requests == 3
    for request in judge.requests:
        body = request["body"]
        assert body["max_tokens"] == generating.WRITTEN_TOKENS
        assert not {"logprobs", "continue_final_message"} & body.keys()
        (message,) = body["messages"]
        assert message["content"].startswith(generating.PROMPT.before)
    assert "patients" not in caplog.text


def test_what_was_paid_for_before_the_end_is_kept(judge: FakeJudge) -> None:
    generator = build_generator(config(judge, concurrency=1), Few(2))
    with pytest.raises(BudgetReached) as stopped:
        generator.generate(DOCUMENTS)
    assert stopped.value.answers["doc_id"].to_pylist() == ["a", "b"]


def test_a_server_that_is_away_is_no_empty_list(judge: FakeJudge) -> None:
    with pytest.raises(JudgeUnavailable):
        build_generator(config(judge, "busy", tries=2)).generate(DOCUMENTS)


def test_what_a_server_refuses_to_write_is_nothing(judge: FakeJudge) -> None:
    table = build_generator(config(judge, "filtered")).generate(DOCUMENTS)
    assert table["phrases"].to_pylist() == [[], ["lung trial"], []]


def test_half_a_character_in_a_reply_loses_no_phrase(judge: FakeJudge, monkeypatch) -> None:
    text = "heart pain \ud83d\n" + "a long phrase that is none\n" * 20 + "skin"
    monkeypatch.setattr(fake_llm, "WRITE", "no such request")
    monkeypatch.setitem(fake_llm.REPLIES, "half", lambda good, bad: fake_llm.chat(text))
    (phrases, *_) = (
        build_generator(config(judge, "half")).generate(DOCUMENTS)["phrases"].to_pylist()
    )
    assert phrases == ["heart pain ?", "a long phrase that is none", "skin"]


def test_a_rule_writes_nothing() -> None:
    with pytest.raises(ConfigError, match="writes nothing"):
        build_generator(TeacherConfig(kind="lexical"))


def test_another_prompt_or_model_is_another_writer(judge: FakeJudge, monkeypatch) -> None:
    first = generating.writer_identity(config(judge))
    assert first == generating.writer_identity(config(judge, answer_prefix="Yes"))
    assert first != generating.writer_identity(config(judge, "other"))
    changed = generating.Prompt("phrases", "Other words", "", "")
    monkeypatch.setattr(generating, "PROMPT", changed)
    assert first != generating.writer_identity(config(judge))
