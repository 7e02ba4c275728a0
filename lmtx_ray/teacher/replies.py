"""Reads a chat completion: the judge's answer, or why the reply holds none.

Servers fill replies oddly. A part that is odd is left aside and never takes a plain part with it.

A reply lists the likeliest tokens only, usually 20. A spelling that is not listed has less than the
least listed probability; it counts as zero, so a P(yes) near 0 or 1 is exact to about that. An
in-process judge sees all tokens. Where the listed words have too little mass together, the answer
is unclear, as everywhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lmtx_ray.teacher.reading import (
    END_OF_THOUGHT,
    OPEN_THOUGHT,
    Reading,
    Words,
    from_log_probabilities,
    from_text,
    spelling_of,
    word_meant,
    words_begun,
)

MOST_RAW = 200  # characters of what was said that are kept
BEGINNING = 40  # characters of a cut-off reply that may state an answer
THOUGHT_PARTS = re.compile(r"think|thought|reason|summary", re.IGNORECASE)  # by their type

Entry = tuple[str, float]  # a token and its log-probability


class NoAnswer(ValueError):
    """A reply in which a judge says nothing at all: the call failed."""


def read_reply(reply: Any, words: Words, least_mass: float) -> Reading:
    """What the judge said.

    Raises:
        NoAnswer: No choice, or one with neither a message nor log-probabilities.
    """
    choice = _first(_get(reply, "choices"))
    message = _get(choice, "message")
    text, thoughts = said(message)
    sampled, entries = answer_token(choice, separate_thoughts=bool(thoughts), text=text)
    finish = _get(choice, "finish_reason")
    if (not isinstance(message, dict) and not entries) or finish == "error":
        raise NoAnswer("the reply holds no message")
    reading = _from_entries(sampled, entries, text, words, least_mass)
    if reading is not None and reading.answer != "unclear":
        return reading
    stated = _from_text(text, words, cut_off=finish == "length")
    measured = reading is not None and spelling_of(sampled, words) is not None
    if stated.answer != "unclear" and not measured:
        return replace(stated, raw=plain(stated.raw or ""))
    raw = _unclear_text(text, thoughts, finish)
    if reading is None:
        return Reading("unclear", raw=raw)
    return replace(reading, raw=_beginning(entries) or raw)


def _from_entries(
    sampled: str, entries: list[Entry], text: str, words: Words, least_mass: float
) -> Reading | None:
    """None where the entries cannot tell: there are none, or the word that was said is not among
    them, so its probability was lost, or what was said begins several words."""
    listed = {spelling_of(token, words) for token, _ in entries}
    lost = [word for word in words if word not in listed]
    spelt = [(word_meant(token, words, lost), p) for token, p in entries]
    word = word_meant(sampled, words, lost) or spelling_of(text, words)
    told = word in {found for found, _ in spelt} if word else not words_begun(sampled, lost)
    return from_log_probabilities(spelt, words, least_mass) if entries and told else None


def _from_text(text: str, words: Words, *, cut_off: bool) -> Reading:
    """In the middle of a thought "the answer is" may be weighed, so of what was cut off before any
    thought ended only the beginning counts."""
    if cut_off and not END_OF_THOUGHT.search(text):
        return replace(from_text(text[:BEGINNING], words), raw=text or None)
    return from_text(text, words)


def said(message: Any) -> tuple[str, str]:
    """(text, thoughts given beside it) of a message whose content is a text or a list of parts."""
    content = _get(message, "content")
    parts = content if isinstance(content, list) else [content]
    text = "".join(_texts(parts))
    if not text and isinstance(refusal := _get(message, "refusal"), str):
        text = refusal
    for name in ("reasoning_content", "reasoning"):
        if isinstance(thoughts := _get(message, name), str) and thoughts:
            return text, thoughts
    return text, "…" if any(map(_is_thought, parts)) else ""


def _texts(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        text = part if isinstance(part, str) else _get(part, "text")
        if isinstance(text, str) and not _is_thought(part):
            yield text


def _is_thought(part: Any) -> bool:
    kind = _get(part, "type")
    return isinstance(kind, str) and THOUGHT_PARTS.search(kind) is not None


def answer_token(choice: Any, *, separate_thoughts: bool, text: str) -> tuple[str, list[Entry]]:
    """The token that answers, as sampled, and the listed ones with it: the first after all
    thoughts that is not blank. ("", []) where thoughts did not end among the tokens."""
    tokens = _tokens(choice)
    spelt = [_text_of(token) for token in tokens]
    end = END_OF_THOUGHT.search("".join(spelt))
    start, reached = 0, 0
    while end and start < len(spelt) and reached < end.end():
        reached += len(spelt[start])
        start += 1
    hidden = separate_thoughts and "".join(spelt).strip() != text.strip()
    if not end and (hidden or (len(tokens) > 1 and OPEN_THOUGHT.search(text))):
        return "", []
    place = next((at for at in range(start, len(spelt)) if spelt[at].strip()), start)
    return (spelt[place], _entries(tokens[place])) if place < len(tokens) else ("", [])


def _tokens(choice: Any) -> list[Any]:
    content = _get(_get(choice, "logprobs"), "content")
    return content if isinstance(content, list) else []


def _entries(token: Any) -> list[Entry]:
    """The usable ones of a token's top_logprobs. The sampled token is added if it is not there."""
    tops = _get(token, "top_logprobs")
    if isinstance(tops, dict):  # older servers: a mapping from token to log-probability
        tops = [{"token": name, "logprob": p} for name, p in tops.items()]
    tops = tops if isinstance(tops, list) else []
    entries = [(_text_of(top), _log_probability(top)) for top in tops]
    usable = [(text, p) for text, p in entries if text and p is not None]
    sampled, own = _text_of(token), _log_probability(token)
    if usable and sampled and own is not None and sampled not in [text for text, _ in usable]:
        usable.append((sampled, own))
    return usable


def _text_of(token: Any) -> str:
    text = _get(token, "token")
    return text if isinstance(text, str) else ""


def _log_probability(token: Any) -> float | None:
    """None for what no log-probability can be; rounding may lift a certain one a little above 0."""
    value = _get(token, "logprob")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(float(value), 0.0) if -1e6 < value < 0.01 else None


def _unclear_text(text: str, thoughts: str, finish: Any) -> str:
    if text.strip():
        return plain(text)
    if thoughts:
        return plain(f"thinks: {_quoted(thoughts)}")
    return plain(f"nothing (finish_reason {finish})" if isinstance(finish, str) else "nothing")


def _beginning(entries: list[Entry]) -> str:
    likeliest = sorted(entries, key=lambda entry: -entry[1])[:3]
    listed = (f"{_quoted(token[:20])} ({math.exp(p):.2f})" for token, p in likeliest)
    return plain("begins with " + ", ".join(listed)) if entries else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def plain(text: str, most: int = MOST_RAW) -> str:
    """Text that every file can hold (half an emoji is none), cut."""
    text = text[: most + 1].encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= most else text[: most - 1] + "…"


def thinks(reading: Reading) -> bool:
    """Whether an unclear answer is one because the judge began to think."""
    raw = reading.raw or ""
    return reading.answer == "unclear" and ("<think" in raw or raw.startswith("thinks"))


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None
