"""Replies of any shape: a plain yes is read, and nothing but Interrupted is raised."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.teacher.protocol import (
    Interrupted,
)
from lmtx_ray.teacher.reading import YES_NO, Reading
from lmtx_ray.teacher.replies import NoAnswer, read_reply
from tests.fake_llm import REPLIES, chat, token, tokens
from tests.teacher.asking import answers, asked, teacher


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths to everything inside a JSON value."""
    if path:
        yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from places(inner, (*path, name))


# No number here may be a log-probability: another one would be another answer.
LEAVES = st.none() | st.booleans() | st.integers(min_value=1) | st.text(max_size=9)
LEAVES = LEAVES | st.sampled_from([math.nan, math.inf, -math.inf, "\ud83d", 10**400, -(10**400)])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


WHOLE = ("ok", "topsnull", "thoughts", "parts", "text")
CONTENT = ("choices", 0, "message", "content")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_no_odd_part_loses_a_plain_yes(kind: str, data: st.DataObject) -> None:
    reply = copy.deepcopy(REPLIES[kind]("Yes", "No"))
    touched = []
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(places(reply), key=str)))
        holder = reply
        for name in path[:-1]:
            holder = holder[name]
        if data.draw(st.booleans()) and isinstance(holder, dict):
            del holder[path[-1]]
        else:
            holder[path[-1]] = data.draw(JSON)
        touched.append(path)
        if not any(True for _ in places(reply)):
            break
    try:
        reading = read_reply(reply, YES_NO, 0.1)
    except NoAnswer:
        reading = None
    if reading and reading.raw:
        reading.raw.encode()
    said = [*CONTENT, 0, "text"] if kind == "parts" else CONTENT
    spared = not any(tuple(said)[: len(path)] == path for path in touched)
    if spared and not any(path == ("choices", 0, "finish_reason") for path in touched):
        assert reading is not None
        assert reading.answer == "yes"


def test_random_replies_raise_nothing_but_interrupted(judge, monkeypatch) -> None:
    @settings(max_examples=15, deadline=None)
    @given(JSON)
    def ask(reply: Any) -> None:
        monkeypatch.setitem(REPLIES, "random", lambda good, bad: reply)
        asking = teacher(judge, "random", tries=1)
        with contextlib.suppress(Interrupted):
            answers(asking.judge(asked("heart")))

    ask()


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("", "yes"), ("message", "yes"), (None, "yes"), (7, "yes"), ("reasoning.text", "unclear")],
)
def test_a_part_of_any_kind_but_a_thought_is_what_was_said(kind, answer) -> None:
    reply = chat([{"type": kind, "text": "Yes"}])
    assert read_reply(reply, YES_NO, 0.1).answer == answer


@pytest.mark.parametrize(
    ("listed", "values", "answer", "p_yes"),
    [
        ({"ne": 0.7, "ja": 0.2}, {"ja": 1.0, "nein": 0.0}, "no", 2 / 9),
        ({"Ja": 0.7, " Ne": 0.2}, {"ja": 1.0, "nein": 0.0}, "yes", 7 / 9),
        ({"ir": 0.6, "relevant": 0.3}, {"relevant": 1.0, "irrelevant": 0.0}, "no", 1 / 3),
        ({"nein": 0.6, "ne": 0.2, "ja": 0.2}, {"ja": 1.0, "nein": 0.0}, "no", 1 / 4),
        ({"in": 0.8, "out": 0.2}, {"inside": 1.0, "indoors": 0.9, "out": 0.0}, "unclear", None),
    ],
)
def test_an_answer_of_two_tokens_counts_by_its_first(listed, values, answer, p_yes) -> None:
    tops = [(text, math.log(p)) for text, p in listed.items()]
    reading = read_reply(chat(tops[0][0], tokens(token(*tops))), values, 0.1)
    assert reading.answer == answer
    assert reading.p_yes == (None if p_yes is None else pytest.approx(p_yes))


def test_what_was_said_before_a_server_failed_is_no_answer() -> None:
    reply = {"choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}]}
    assert read_reply(reply, YES_NO, 0.1).answer == "yes"
    reply["choices"][0]["finish_reason"] = "error"
    with pytest.raises(NoAnswer):
        read_reply(reply, YES_NO, 0.1)


def measured(*listed: tuple[str, float]) -> Reading:
    """What a reply says whose first token has these log-probabilities, the sampled one first."""
    return read_reply(chat(listed[0][0], tokens(token(*listed))), YES_NO, 0.1)


def test_a_word_with_too_little_behind_it_is_unclear_though_it_was_said() -> None:
    reading = measured(("Yes", math.log(0.04)), ("No", math.log(0.01)))
    assert (reading.answer, reading.mass) == ("unclear", pytest.approx(0.05))
    assert measured(("Yes", math.log(0.4)), ("No", math.log(0.1))).answer == "yes"


def test_a_certain_word_that_rounding_lifts_above_certain_counts() -> None:
    reading = measured(("No", 1e-6), ("Yes", -14.0))
    assert (reading.answer, reading.mass) == ("no", 1.0)
    assert reading.p_yes == pytest.approx(math.exp(-14.0))


def test_the_token_right_behind_a_thought_is_the_answer() -> None:
    thought = [token((text, 0.0)) for text in ("<think>", "No", "</think>")]
    said = tokens(*thought, token(("Yes", -0.2), ("No", -1.8)), token((".", 0.0)))
    reading = read_reply(chat("<think>No</think>Yes.", said), YES_NO, 0.1)
    assert reading.answer == "yes"
    assert reading.p_yes == pytest.approx(1 / (1 + math.exp(-1.6)))


def test_what_stands_behind_a_whole_thought_counts_though_the_reply_is_cut_off() -> None:
    thought = "<think>" + "It could be no. " * 9 + "</think>"
    assert read_reply(chat(f"{thought}\nYes, as"), YES_NO, 0.1).answer == "yes"
