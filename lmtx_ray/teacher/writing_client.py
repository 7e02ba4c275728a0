"""A chat client for replies that are texts: nothing of them is weighed, all of them is kept."""

from __future__ import annotations

import httpx

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher import failures
from lmtx_ray.teacher.client import ChatClient
from lmtx_ray.teacher.failures import Failure
from lmtx_ray.teacher.generating import WRITTEN_TOKENS
from lmtx_ray.teacher.protocol import Budget, Usage
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.teacher.replies import plain, said

TEXT = "text"  # the answer of a Reading that holds a text


class WritingClient(ChatClient):
    """A ChatClient whose readings are texts (`written`)."""

    def __init__(self, config: TeacherConfig, budget: Budget, usage: Usage) -> None:
        super().__init__(config, {}, budget, usage)
        self._limit = WRITTEN_TOKENS

    def _read(self, reply: object, headers: httpx.Headers) -> Reading | Failure:
        choices = reply.get("choices") if isinstance(reply, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        message = first.get("message") if isinstance(first, dict) else None
        if not isinstance(message, dict):
            error = failures.of_error(reply, headers, self._key)
            return error or failures.of_transport("the reply holds no message", worked=True)
        text, _ = said(message)
        return Reading(TEXT, raw=plain(text, len(text)))


def written(reading: Reading) -> str:
    """The text of a reading; "" where the server refused to write one."""
    return reading.raw or "" if reading.answer == TEXT else ""
