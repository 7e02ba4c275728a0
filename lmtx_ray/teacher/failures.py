"""Calls that brought no answer: what went wrong, whether it passes, and what a user can mend."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.words import UNSPACED
from lmtx_ray.teacher.adapting import PREFIX_PARAMETERS, TOO_LONG, Refusal
from lmtx_ray.teacher.pacing import told_wait
from lmtx_ray.teacher.replies import plain

MOST_SENTENCE = 300  # characters of what a server says that are shown
ECHO = 4  # words in a row that are no chance
LETTER = re.compile(f"[{UNSPACED}]")
PIECE = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
Piece = tuple[str, tuple[int, int]]  # a word, or a letter of a script without spaces; its span
PASSING = {0, 408, 409, 425, 429}  # and everything from 500 on
TOO_MANY = {429, 503}
ADAPTABLE = {400, 422}
SPENT = "insufficient_quota"  # a 429 that no waiting mends
FILTERING = {400, 403, 422}
FILTERED = re.compile(  # by code, by type, or by what stands beside the message
    r"content.?(?:filter|policy|management)|safety|moderation|flagged|data.?inspection",
    re.IGNORECASE,
)
MANY_MEANINGS = "invalid_prompt"  # a code of filters and of other refusals: the message tells which
WORDS_OF_STATUS = {
    429: re.compile(r"rate.?limit|too.?many", re.IGNORECASE),
    503: re.compile(
        r"overload|unavailable|server.?error|internal|timeout|busy|loading|capacity",
        re.IGNORECASE,
    ),
    401: re.compile(r"auth|api.?key", re.IGNORECASE),
}


@dataclass(frozen=True)
class Failure:
    """`status` is 0 where nothing, or nothing readable, came back; `wait` what the server told;
    `worked` whether the server may have done the work, so that it counts as spent."""

    status: int
    refusal: Refusal
    wait: float | None = None
    worked: bool = False
    kind: str = ""

    @property
    def passing(self) -> bool:
        """Whether asking again may bring an answer."""
        if self.status == 429 and SPENT in self.kind:
            return False
        return self.status in PASSING or self.status >= 500

    @property
    def filtered(self) -> bool:
        """Whether a service's content filter refused this one text: nothing that a setting mends,
        and no reason to stop a run."""
        told = self.kind
        if MANY_MEANINGS in told:
            told += self.refusal.sentence
        return self.status in FILTERING and FILTERED.search(told) is not None

    @property
    def told_to_wait(self) -> bool:
        """Whether the server said how long to wait."""
        return self.status == 429 and self.wait is not None

    def without(self, sent: Sequence[str]) -> Failure:
        """The same, with what the server repeats of texts it was sent blotted out: its sentence
        is shown and logged, and documents are not."""
        sentence = unechoed(self.refusal.sentence, sent)
        return replace(self, refusal=replace(self.refusal, sentence=sentence))

    def __str__(self) -> str:
        status = f"HTTP {self.status}: " if self.status else ""
        return status + self.refusal.sentence


def of_transport(problem: str, *, worked: bool) -> Failure:
    """Timeouts, connections that failed or broke, and replies that are no JSON or no answer."""
    return Failure(0, Refusal("", plain(problem, MOST_SENTENCE)), worked=worked)


def of_status(status: int, headers: Mapping[str, str], body: bytes, secret: str) -> Failure:
    """A reply whose status is not 2xx."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = body.decode("utf-8", "replace")
    if 300 <= status < 400:
        value = f"it redirects to {_place(headers.get('location', ''))}"
    return _failure(status, value, told_wait(headers, time.time()), secret)


def of_error(reply: Any, headers: Mapping[str, str], secret: str) -> Failure | None:
    """The error inside a reply with status 200; None where it holds none."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    holders = [reply, *(choices[:1] if isinstance(choices, list) else [])]
    for holder in holders:
        if isinstance(holder, dict) and (error := holder.get("error")):
            found = {"error": error}
            return _failure(_status_of(error), found, told_wait(headers, time.time()), secret)
    return None


def _failure(status: int, value: Any, wait: float | None, secret: str) -> Failure:
    error = value.get("error") if isinstance(value, dict) else None
    error = error if isinstance(error, dict) else {}
    beside = error.get("metadata")
    names = [str(error.get(name, "")) for name in ("code", "type")]
    kind = " ".join([*names, *(beside if isinstance(beside, dict) else ())])
    parameter = error.get("param")
    refusal = Refusal(parameter if isinstance(parameter, str) else "", sentence_of(value, secret))
    return Failure(status, refusal, wait, worked=status >= 500 and status != 503, kind=kind)


def _status_of(error: Any) -> int:
    """The HTTP status an error object stands for; 400 where nothing says."""
    if not isinstance(error, dict):
        error = {"message": str(error)}
    for name in ("code", "status", "status_code"):
        if re.fullmatch(r"[345]\d\d", str(error.get(name))):
            return int(error[name])
    for names in (("code", "type", "status"), ("message",)):
        text = " ".join(str(error.get(name, "")) for name in names)
        for status, words in WORDS_OF_STATUS.items():
            if words.search(text):
                return status
        if "invalid" in text:
            break
    return 400


def sentence_of(value: Any, secret: str) -> str:
    """What a server's error body says, on one line, without markup and without the secret."""
    text = without(" ".join(re.sub(r"<[^<>]*>", " ", _message(value)).split()), secret)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain(text or "no reason given", MOST_SENTENCE)


def _message(value: Any) -> str:
    if isinstance(value, list):  # FastAPI: one entry for each wrong field
        return "; ".join(_message(entry) for entry in value)
    if not isinstance(value, dict):
        return value if isinstance(value, str) else json.dumps(value)
    if "loc" in value and isinstance(value["loc"], list):
        return ".".join(map(str, value["loc"])) + f": {value.get('msg', '')}"
    for name in ("error", "message", "detail", "msg", "error_description"):
        if value.get(name):
            return _message(value[name])
    return json.dumps(value)


def without(text: str, secret: str) -> str:
    """The text with the secret blotted out."""
    return text.replace(secret, "***") if len(secret) > 3 else text


def unechoed(sentence: str, sent: Sequence[str]) -> str:
    """The sentence with […] where so many words in a row stand in one of the texts, too, whatever
    signs are between them. Of scripts without spaces two letters are about a word."""
    pieces = [(found[0], found.span()) for found in PIECE.finditer(sentence)]
    heard = [f" {' '.join(PIECE.findall(text))}" for text in sent]
    spans: list[tuple[int, int]] = []
    for first in range(len(pieces)):
        run = _run(pieces[first:])
        words = " ".join(word for word, _ in run)
        if run and any(f" {words}" in text for text in heard):
            start, (_, end) = run[0][1][0], run[-1][1]
            if spans and start <= spans[-1][1]:
                start = spans.pop()[0]
            spans.append((start, end))
    for start, end in reversed(spans):
        sentence = f"{sentence[:start]}[…]{sentence[end:]}"
    return sentence


def _run(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """The first of them that are no chance together; none where they are too few."""
    weight = 0.0
    for count, (word, _) in enumerate(pieces, 1):
        weight += 0.5 if LETTER.fullmatch(word) else 1.0
        if weight >= ECHO:
            return pieces[:count]
    return []


def _place(location: str) -> str:
    """A redirect's target without what may be secret in it."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path
    except ValueError:
        return "elsewhere"


def advice(failure: Failure, config: TeacherConfig) -> str:
    """Which setting to mend after a refusal."""
    said = f"{failure.refusal.parameter} {failure.refusal.sentence}"
    if failure.status == 402 or SPENT in failure.kind:
        return "the account behind the key has nothing left to spend; what was answered is kept"
    if failure.status in (401, 403):
        given = "is set" if os.environ.get(config.api_key_env, "").strip() else "is not set"
        return (
            f"the key is read from the environment variable {config.api_key_env}, which {given}"
            " (judge.teacher.api_key_env)"
        )
    if failure.status == 404:
        return "mend judge.teacher.url or judge.teacher.model"
    if failure.status == 405 or 300 <= failure.status < 400:
        return "mend judge.teacher.url"
    if failure.status == 413 or TOO_LONG.search(said):
        return "lower judge.teacher.max_document_tokens (words, or letters of unspaced scripts)"
    if config.answer_prefix and PREFIX_PARAMETERS.search(said):
        return "this server cannot begin the model's turn: leave out judge.teacher.answer_prefix"
    if re.search(r"\bmax_(?:completion_)?tokens\b|output limit", said):
        return "mend judge.teacher.thinking_tokens, for a model that thinks first"
    return "mend the section judge.teacher"
