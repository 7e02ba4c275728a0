"""What a judge said, as numbers: the same rule for every engine.

An answer is a word with a value: yes 1 and no 0, or the grades of a graded prompt. A model spells a
word in several tokens ("Yes", " yes", "YES"), so the probabilities of all spellings are summed
first. P(yes) is the mean value under the words' shares, and the mass is what the words have
together: renormalising hides whether a model meant to answer at all, so the mass is always kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Words = Mapping[str, float]  # word in lower case -> value in [0, 1]
YES_NO: Words = {"yes": 1.0, "no": 0.0}
MARKUP = " \t\r\n\"'`*_.,:;!()[]▁Ġ"  # what may stand around the word inside its token
THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
OPEN_THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
END_OF_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
FIRST_WORD = re.compile(r"[^\w]*(\w+)(.{0,12})", re.DOTALL)
STATED = re.compile(r"\banswer(?:\s+is|\s*:)[^\w]*(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """One answer. `p_yes` and `mass` are None where no probabilities were given; `raw` is what was
    said where that is not plain."""

    answer: str  # yes, no or unclear
    p_yes: float | None = None
    mass: float | None = None
    raw: str | None = None


def spelling_of(token: str, words: Words = YES_NO) -> str | None:
    """The word that a token's text spells, whatever its case and the spaces, quotes or emphasis
    around it; None for any other text."""
    word = token.strip(MARKUP).lower()
    return word if word in words else None


def word_meant(token: str, words: Words, others: Iterable[str]) -> str:
    """The word that a token spells, or else the one of `others` that it begins, if it begins no
    second: a word of two tokens is known by its first. "" for any other token."""
    begun = words_begun(token, others)
    return spelling_of(token, words) or (begun[0] if len(begun) == 1 else "")


def words_begun(token: str, words: Iterable[str]) -> list[str]:
    """Those of some words that a token's text spells or begins."""
    bare = token.strip(MARKUP).lower()
    return [word for word in words if bare and word.startswith(bare)]


def decide(p_yes: float | None, mass: float | None, least_mass: float) -> str:
    """yes above 0.5, else no; unclear without a probability or with too little mass behind it."""
    if p_yes is None or (mass is not None and mass < least_mass):
        return "unclear"
    return "yes" if p_yes > 0.5 else "no"


def from_log_probabilities(
    tokens: Iterable[tuple[str, float]], words: Words, least_mass: float, raw: str | None = None
) -> Reading:
    """The reading of (word, log-probability) pairs, several of one word allowed.

    Sums are taken relative to the likeliest, so that tiny probabilities do not vanish. `raw` is
    kept for an unclear answer only.
    """
    given = [(word, p) for word, p in tokens if word in words and math.isfinite(p)]
    if not given:
        return Reading("unclear", None, 0.0, raw)
    top = max(p for _, p in given)
    shares = [(words[word], math.exp(p - top)) for word, p in given]
    total = sum(share for _, share in shares)
    p_yes = sum(value * share for value, share in shares) / total
    mass = min(total * math.exp(top), 1.0)
    answer = decide(p_yes, mass, least_mass)
    return Reading(answer, p_yes, mass, raw if answer == "unclear" else None)


def begins_with(token: str, probability: float) -> str:
    """What is kept of an unclear answer: its likeliest first token, quoted as in JSON."""
    return f"begins with {json.dumps(token, ensure_ascii=False)} ({probability:.2f})"


def without_thoughts(text: str) -> str | None:
    """What was said after thinking; None where the thinking did not end."""
    text = END_OF_THOUGHT.sub("", THOUGHTS.sub("", text))
    return None if OPEN_THOUGHT.search(text) else text


def from_text(text: str, words: Words = YES_NO) -> Reading:
    """The answer that a reply states: its first word, or the one behind "answer is" or "answer:".

    "Yes, because … no doubt" is yes, "yes and no" unclear, and what is said inside <think> does not
    count. A word somewhere in the tail is no answer.
    """
    raw = text or None
    said = without_thoughts(text)
    if said is None:
        return Reading("unclear", raw=raw)
    first = FIRST_WORD.match(said)
    word = first[1].lower() if first else ""
    if first and word in words:
        after = re.findall(r"\w+", first[2].lower())[:2]
        joined = re.match(r"\s*(?:/|and\b|or\b)", first[2].lower())
        if joined and any(other in words and other != word for other in after):
            return Reading("unclear", raw=raw)
    elif stated := STATED.search(said):
        word = stated[1].lower()
    if word not in words:
        return Reading("unclear", raw=raw)
    value = words[word]
    p_yes = None if words.keys() == YES_NO.keys() else value
    return Reading("yes" if value > 0.5 else "no", p_yes, raw=raw)
