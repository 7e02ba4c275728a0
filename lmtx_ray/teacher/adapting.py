"""What a chat request holds, and how it changes when a server does not take one of its parameters.

Servers disagree about names and limits of what is optional, and say so in their refusals. Each
change lasts as long as the teacher, and each parameter changes in one direction only, so a server
that refuses everything is soon refused itself.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, replace
from typing import Any

from lmtx_ray.config.judge import TeacherConfig

logger = logging.getLogger(__name__)

FEWER_LOGPROBS = 5  # what services that limit them usually allow
ANSWER_TOKENS = 16  # after thoughts: blank lines, emphasis, and the answer
NO_THINKING = {"enable_thinking": False, "thinking": False}
TOO_LONG = re.compile(r"context (?:length|window|size)|too long|prompt is longer", re.IGNORECASE)
BOUND = re.compile(
    r"(?:at most|up to|no more than|equal to|between \d+ and|<=|≤|"
    r"(?:maximum|max|limit|exceeds?)\b[^\d.;]{0,24}?)[\s:='\"]*(\d{1,4})\b",
    re.IGNORECASE,
)
PREFIX_PARAMETERS = re.compile(r"\b(?:continue_final_message|add_generation_prompt)\b")

Message = dict[str, str]


@dataclass(frozen=True)
class Shape:
    """The optional part of a request. At 0 no log-probabilities are asked for."""

    limit: str = "max_tokens"
    top_logprobs: int = 20
    temperature: bool = True
    template: bool = True


@dataclass(frozen=True)
class Refusal:
    """What a server says about a request: the parameter it names, if any, and its sentence."""

    parameter: str
    sentence: str


def answer_limit(config: TeacherConfig) -> int:
    """How many tokens a reply may have."""
    return config.thinking_tokens + ANSWER_TOKENS if config.thinking_tokens else 1


def request_body(
    config: TeacherConfig, shape: Shape, messages: list[Message], limit: int | None = None
) -> dict[str, Any]:
    """The JSON of one request, for a reply of `limit` tokens; without it for one that answers."""
    body: dict[str, Any] = {
        "model": config.model,
        "messages": messages,
        shape.limit: limit or answer_limit(config),
    }
    if shape.temperature:
        body["temperature"] = 0
    if shape.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": shape.top_logprobs}
    if shape.template and not config.thinking_tokens:
        body["chat_template_kwargs"] = NO_THINKING
    if config.answer_prefix:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def changed(shape: Shape, refusal: Refusal) -> Shape | None:
    """The shape to try next; None where the server complains about nothing optional."""
    if TOO_LONG.search(refusal.sentence):
        return None
    for text in (refusal.parameter, refusal.sentence):
        if shape.limit == "max_tokens" and _names(text, "max_tokens"):
            return replace(shape, limit="max_completion_tokens")
        if shape.top_logprobs and _names(text, "top_logprobs|logprobs"):
            return replace(shape, top_logprobs=_fewer(shape.top_logprobs, refusal.sentence))
        if shape.temperature and _names(text, "temperature"):
            return replace(shape, temperature=False)
        if shape.template and _names(text, "chat_template_kwargs|enable_thinking"):
            return replace(shape, template=False)
    return None


def _names(text: str, names: str) -> bool:
    return re.search(rf"\b(?:{names})\b", text) is not None


def _fewer(now: int, sentence: str) -> int:
    """The number that the sentence allows; otherwise few, and then none."""
    bounds = [int(number) for number in BOUND.findall(sentence)]
    allowed = [number for number in bounds if number < now]
    if allowed:
        return max(allowed)
    return FEWER_LOGPROBS if now > FEWER_LOGPROBS else 0


class Adapting:
    """The shape that all threads of a teacher use now."""

    def __init__(self, config: TeacherConfig) -> None:
        self.shape = Shape(top_logprobs=config.top_logprobs)
        self._lock = threading.Lock()

    def adapts(self, sent: Shape, refusal: Refusal) -> bool:
        """Whether a request that was refused in the shape `sent` should be asked again.

        Of the threads that are refused for one reason, the first changes the shape and the others
        use it.
        """
        with self._lock:
            if sent != self.shape:
                return True
            shape = changed(sent, refusal)
            if shape is None:
                return False
            self.shape = shape
            logger.warning(
                "the judge's server: %s; from now on %s", refusal.sentence, _difference(sent, shape)
            )
            return True


def _difference(old: Shape, new: Shape) -> str:
    if new.limit != old.limit:
        return f"asked with {new.limit}"
    if new.top_logprobs != old.top_logprobs:
        if new.top_logprobs:
            return f"asked with top_logprobs {new.top_logprobs}"
        return "asked without log-probabilities: answers are read from text, without P(yes)"
    return "asked without " + (
        "temperature" if old.temperature != new.temperature else "chat_template_kwargs"
    )
