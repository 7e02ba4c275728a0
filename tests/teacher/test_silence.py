"""What is said and logged of a judge's work holds no text of documents, and no key."""

from __future__ import annotations

import logging

import pytest

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.loop.running import load_config
from lmtx_ray.teacher.client import api_key
from lmtx_ray.teacher.failures import unechoed
from lmtx_ray.teacher.protocol import Interrupted
from tests.fake_llm import FakeJudge
from tests.teacher.asking import asked, teacher

TEXT = "the zyxheart of zyxpatients and their zyxcare in many zyxwords " * 3


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("bad input: the zyxheart of zyxpatients or more", "bad input: […] or more"),
        (
            "max_tokens: at most 16, the prompt was long",
            "max_tokens: at most 16, the prompt was long",
        ),
        ("zyxpatients and their zyxcare x zyxpatients and their zyxcare", "[…] x […]"),
        ("bad: 'of the zyxheart of zyxpat…", "bad: '[…]…"),
        ('{"text": "zyxpatients, and (their) zyxcare"}', '{"text": "[…]"}'),
        ("入力エラー: 心臓病の患者に薬を投与した。", "入力エラー: […]。"),
        ("模型不存在: 心臓病", "模型不存在: 心臓病"),
        ("", ""),
    ],
)
def test_what_a_server_repeats_is_blotted_out(sentence: str, said: str) -> None:
    text = "of\nthe  zyxheart of zyxpatients\nand their zyxcare 心臓病の患者に薬を投与した"
    assert unechoed(sentence, ["system", text]) == said


@pytest.mark.parametrize("model", ["ok", "parrot", "nojson", "busy", "because", "think", "badkey"])
def test_neither_answers_nor_failures_tell_a_document(
    judge: FakeJudge, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        try:
            said = ""
            teacher(judge, model, tries=2).judge(asked("heart", "moon", text=TEXT))
        except Interrupted as problem:
            said = f"{problem!r} {problem.__cause__!r} {problem.__context__!r}"
    assert model not in ("parrot", "busy", "badkey") or said
    assert "zyx" not in said + caplog.text


@pytest.mark.parametrize("given", ["sk-proj-zyx0", "gsk_zyx0123456789abcdefghijkl", "zyx zyx"])
def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_told(given: str) -> None:
    teacher = {"kind": "http", "url": "http://localhost:9", "model": "m", "api_key_env": given}
    corpus = {"documents": "docs.jsonl", "labels": "labels.jsonl"}
    with pytest.raises(ConfigError, match=r"judge\.teacher\.api_key_env: .*name") as refused:
        load_config({"run": "run", "corpus": corpus, "judge": {"teacher": teacher}})
    assert "zyx" not in str(refused.value)


def test_a_variable_may_be_called_oddly_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("my-key", "good")
    assert api_key("my-key") == "good"
    monkeypatch.delenv("TEAM_2_OPENAI_API_KEY_FOR_TAGS", raising=False)
    assert api_key("TEAM_2_OPENAI_API_KEY_FOR_TAGS") == ""
