"""Answers from log-probabilities and from text, prompts, and what makes two teachers the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import PROMPTS, get_prompt
from lmtx_ray.teacher.protocol import Interrupted, answers_table
from lmtx_ray.teacher.reading import (
    YES_NO,
    Reading,
    decide,
    from_log_probabilities,
    from_text,
    spelling_of,
)

GRADES = {"0": 0.0, "1": 0.5, "2": 1.0}


@pytest.mark.parametrize(
    ("given", "answer", "p_yes", "mass"),
    [
        ([("yes", math.log(0.6)), ("no", math.log(0.2))], "yes", 0.75, 0.8),
        ([("yes", math.log(0.3)), ("no", math.log(0.2)), ("yes", math.log(0.3))], "yes", 0.75, 0.8),
        ([("yes", -1.0), ("no", -1.0)], "no", 0.5, 2 * math.exp(-1)),  # a tie is no acceptance
        ([("yes", -2000.0), ("no", 0.0)], "no", 0.0, 1.0),
        ([("yes", -2000.0), ("no", -2001.0)], "unclear", 1 / (1 + math.exp(-1)), 0.0),
        ([("yes", 0.0), ("no", -math.inf)], "yes", 1.0, 1.0),
        ([("yes", -math.inf), ("no", math.nan)], "unclear", None, 0.0),
        ([("yes", math.log(0.06)), ("no", math.log(0.02))], "unclear", 0.75, 0.08),
        ([("", -0.1), ("maybe", -0.1)], "unclear", None, 0.0),
        ([], "unclear", None, 0.0),
    ],
)
def test_log_probabilities_make_one_answer(given, answer, p_yes, mass) -> None:
    got = from_log_probabilities(given, YES_NO, 0.1, raw="said")
    assert got.answer == answer
    assert got.p_yes == (None if p_yes is None else pytest.approx(p_yes))
    assert got.mass == pytest.approx(mass)
    assert got.raw == ("said" if answer == "unclear" else None)


def test_grades_are_weighed() -> None:
    shares = [("0", math.log(0.1)), ("1", math.log(0.2)), ("2", math.log(0.5))]
    got = from_log_probabilities(shares, GRADES, 0.1)
    assert got.p_yes == pytest.approx(0.6 / 0.8)
    assert from_text("1.", GRADES).p_yes == 0.5
    assert from_text("1.", GRADES).answer == "no"


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("Yes", "yes"),
        (" YES", "yes"),
        ("**No", "no"),
        ('"no', "no"),
        ("▁yes", "yes"),
        ("Ġno", "no"),
        ("yesterday", None),
        ("not", None),
        ("", None),
        ("ye", None),
    ],
)
def test_all_spellings_of_a_word_count(token: str, word: str | None) -> None:
    assert spelling_of(token) == word


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", "yes"),
        ("  no", "no"),
        ("NO!", "no"),
        ("**Yes**", "yes"),
        ("nothing", "unclear"),
        ("", "unclear"),
        ("yes and no", "unclear"),
        ("Yes/No", "unclear"),
        ("Yes and yes again", "yes"),
        ("Yes. The answer is: no", "yes"),  # its first word
        ("I cannot say", "unclear"),
        ("Yes, because the text leaves no doubt about it.", "yes"),
        ("No. A yes would need more.", "no"),
        ("The answer is: **Yes**.", "yes"),
        ("<think>\nThere is no doubt here.\n</think>\n\nYes", "yes"),
        ("no doubt</think>Yes", "yes"),
        ("<think>no", "unclear"),
        ("<think>So the answer is yes, or is it", "unclear"),  # it was weighed, not given
        ("It says yes somewhere", "unclear"),
    ],
)
def test_replies_are_read_by_what_they_state(text: str, answer: str) -> None:
    assert from_text(text).answer == answer


@given(st.text())
def test_every_reply_has_an_answer(text: str) -> None:
    assert from_text(text).answer in {"yes", "no", "unclear"}


def test_an_answer_without_a_probability_is_unclear() -> None:
    assert decide(None, None, 0.1) == "unclear"
    assert decide(0.9, None, 0.1) == "yes"
    assert decide(0.9, 0.05, 0.1) == "unclear"
    assert decide(0.9, 0.1, 0.1) == "yes"  # it is the least


def test_answers_are_a_table_even_without_rows() -> None:
    assert answers_table([], []).num_rows == 0
    row = answers_table([("a", 1)], [Reading("yes", 0.75, 0.5)]).to_pylist()[0]
    assert row == {
        "doc_id": "a",
        "label_id": 1,
        "answer": "yes",
        "p_yes": 0.75,
        "mass": 0.5,
        "raw": None,
    }
    assert Interrupted("x").answers is None


def test_a_teacher_without_a_model_is_the_same_in_every_folder(tmp_path, monkeypatch) -> None:
    config, prompt = TeacherConfig(kind="lexical"), get_prompt("tag")
    before = teacher_identity(config, prompt)
    (tmp_path / "notes.txt").write_text("in the working folder, no file of a model")
    monkeypatch.chdir(tmp_path)
    assert teacher_identity(config, prompt) == before


def test_prompts_are_told_apart_and_unknown_ones_named() -> None:
    assert len({prompt.fingerprint for prompt in PROMPTS.values()}) == len(PROMPTS)
    with pytest.raises(ConfigError, match=r"no prompt 'nice'; known: tag, product_tag"):
        get_prompt("nice")


@pytest.mark.parametrize("kind", ["vllm", "http", "reranker"])
def test_identity_follows_what_changes_an_answer_and_nothing_else(kind: str) -> None:
    config, prompt = TeacherConfig(kind=kind, model="some/model"), get_prompt("subject")
    same = {"threads": 7, "kv_cache_gib": 9, "url": "http://h", "tries": 2, "concurrency": 2}
    known = teacher_identity(config, prompt)
    assert teacher_identity(config.model_copy(update=same), prompt) == known
    for change in (
        {"max_document_tokens": 100},
        {"revision": "b"},
        {"answer_prefix": "So:"},
        {"thinking_tokens": 9},
        {"model": "other/model"},
    ):
        assert teacher_identity(config.model_copy(update=change), prompt) != known
    assert teacher_identity(config, get_prompt("tag"))[0] != known[0]


def test_a_reranker_is_the_same_as_ever_where_no_prefix_is_set() -> None:
    config = TeacherConfig(kind="reranker", model="some/model")
    assert teacher_identity(config, get_prompt("subject"))[1] == "c2e13ee74498"
