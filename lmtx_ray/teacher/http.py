"""A teacher behind an OpenAI-compatible chat endpoint, for models served elsewhere.

Each pair is one request for one token with log-probabilities; a server with prefix caching still
shares a document's prefix, because its candidates are asked one after another. A request that
keeps failing is an `unclear` row, never a lost one.
"""

from __future__ import annotations

import json
import math
import os
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from lmtx_ray.config import ConfigError
from lmtx_ray.corpus import document_text
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.parsing import from_log_probabilities, from_text
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig, answers_table

TRIES = 4
TIMEOUT_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.5


class HttpTeacher:
    """A Teacher (see protocol). The API key is read from `api_key_env` when a call is made."""

    def __init__(self, config: TeacherConfig) -> None:
        if not config.url.startswith(("http://", "https://")) or not config.model:
            raise ConfigError("teacher.url and teacher.model: both are needed for kind http")
        self._config, self._prompt = config, get_prompt(config.prompt)
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config)

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair, in order."""
        pairs, prompts = [], []
        for question in questions.to_pylist():
            words = document_text(question["title"], question["text"]).split()
            document = " ".join(words[: self._config.max_document_tokens])
            for label, text in zip(question["label_ids"], question["label_texts"], strict=True):
                pairs.append((question["doc_id"], label))
                prompts.append(
                    self._prompt.before + document + self._prompt.between + text
                    + self._prompt.after
                )  # fmt: skip
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            answers = list(pool.map(self._ask, prompts))
        return answers_table([(*pair, *rest) for pair, rest in zip(pairs, answers, strict=True)])

    def _ask(self, prompt: str) -> tuple[str, float | None, str | None]:
        body = {
            "model": self._config.model, "max_tokens": 1, "temperature": 0, "logprobs": True,
            "top_logprobs": 20, "messages": [{"role": "user", "content": prompt}],
        }  # fmt: skip
        problem = ""
        for attempt in range(TRIES):
            try:
                return read_choice(self._post(body))
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                problem = f"{type(error).__name__}: {error}"
                if isinstance(error, urllib.error.HTTPError) and error.code in {400, 401, 403, 404}:
                    break
                if attempt + 1 < TRIES:
                    time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        return "unclear", None, problem

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        url = self._config.url.rstrip("/") + "/v1/chat/completions"
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._config.api_key_env):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return json.load(response)


def read_choice(reply: dict[str, Any]) -> tuple[str, float | None, str | None]:
    """(answer, P(yes), raw) from a reply: log-probabilities of the two words in any spelling, or
    its text where the server returns none."""
    choice = reply["choices"][0]
    raw = choice["message"]["content"] or ""
    content = (choice.get("logprobs") or {}).get("content") or []
    tops = content[0]["top_logprobs"] if content else []
    yes, no = (_total(tops, word) for word in ("yes", "no"))
    if yes is None and no is None:
        return from_text(raw), None, raw
    answer, p_yes = from_log_probabilities(
        -math.inf if yes is None else yes, -math.inf if no is None else no
    )
    return answer, p_yes, raw


def _total(tops: list[dict[str, Any]], word: str) -> float | None:
    share = sum(math.exp(top["logprob"]) for top in tops if top["token"].strip().lower() == word)
    return math.log(share) if share > 0 else None
