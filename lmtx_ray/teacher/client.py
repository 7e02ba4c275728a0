"""Asks a chat server until it answers: connections, the shared pace of all threads, and tries."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import dataclass
from typing import TypeGuard
from urllib.parse import urlsplit

import httpx

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import progress
from lmtx_ray.io.addresses import is_loopback
from lmtx_ray.teacher import failures, pacing
from lmtx_ray.teacher.adapting import Adapting, Message, Shape, answer_limit, request_body
from lmtx_ray.teacher.failures import Failure
from lmtx_ray.teacher.pacing import Gate, Stopped
from lmtx_ray.teacher.protocol import Budget, JudgeRefused, JudgeUnavailable, Usage
from lmtx_ray.teacher.reading import Reading, Words
from lmtx_ray.teacher.replies import NoAnswer, read_reply

LONGEST_CONNECT = 10.0  # seconds
KEPT = 30.0  # seconds a connection stays open unused
MOST_BYTES = 64 << 20  # of a reply; each token of a long thought may bring two thousand
AROUND_MESSAGES = 64  # tokens a chat template may add
KEY = re.compile(r"(?=.*[a-z])(?=.*\d).{24,}|.*\W.*", re.ASCII)  # and no name of a variable
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass
class _Tries:
    """Of one request: how often it was sent, how many of those count as failures (being told to
    wait is none), and the seconds waited since the first."""

    sent: int = 0
    failed: int = 0
    waited: float = 0.0


class ChatClient:
    """One server, asked by all threads of one process.

    `ask` returns what the judge said. It raises JudgeRefused for what no repetition mends,
    JudgeUnavailable when all tries failed, what the budget raises, and Stopped once `stop` is set.
    """

    def __init__(self, config: TeacherConfig, words: Words, budget: Budget, usage: Usage) -> None:
        self._config, self._words, self._budget, self._usage = config, words, budget, usage
        self._url, self._key = chat_url(config.url), api_key(config.api_key_env)
        self._http = _open(config, self._url)
        self._adapting, self._gate = Adapting(config), Gate(config.concurrency)
        self._counting = threading.Lock()
        self._limit = answer_limit(config)

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def wake(self) -> None:
        """Let waiting threads see that `stop` is set."""
        self._gate.wake()

    def ask(self, messages: list[Message], stop: threading.Event) -> Reading:
        """The server's answer, after as many tries as it takes.

        Raises:
            JudgeRefused: No other try makes sense.
            JudgeUnavailable: Tried too often or too long.
            Stopped: `stop` was set meanwhile.
        """
        tries = _Tries()
        while True:
            begun = time.monotonic()
            ticket = self._gate.enter(stop)
            tries.waited += time.monotonic() - begun if tries.sent else 0.0
            tries.sent += 1
            shape, outcome, pause = self._adapting.shape, None, 0.0
            try:
                outcome = self._attempt(messages, shape)
                if isinstance(outcome, Failure):
                    sent = [message["content"] for message in messages]
                    outcome = _refused(outcome.without(sent))
                if isinstance(outcome, Failure) and not self._adapts(shape, outcome):
                    pause = self._pause(outcome, tries, ticket)
            finally:
                self._gate.leave(answered=isinstance(outcome, Reading))
            if isinstance(outcome, Reading):
                return outcome
            if pause and stop.wait(pause):
                raise Stopped
            tries.waited += pause

    def _adapts(self, shape: Shape, failure: Failure) -> bool:
        return failure.status in failures.ADAPTABLE and self._adapting.adapts(
            shape, failure.refusal
        )

    def _pause(self, failure: Failure, tries: _Tries, ticket: int) -> float:
        """Seconds to wait before the next try; where the server has too much to do the gate is
        closed instead, for all threads. Raises when no other try makes sense."""
        if not failure.passing:
            hint = failures.advice(failure, self._config)
            raise JudgeRefused(f"{self._url}: {failure}; {hint}")
        tries.failed += not failure.told_to_wait
        seconds = failure.wait if failure.wait is not None else pacing.backoff(tries.failed)
        if tries.failed >= self._config.tries or tries.waited + seconds > pacing.LONGEST_TOTAL:
            raise JudgeUnavailable(
                f"{self._url}: no answer to a request sent {tries.sent} times, with "
                f"{tries.waited:.0f} s of waiting; last: {failure}"
            )
        if failure.status not in failures.TOO_MANY:
            return seconds
        self._gate.close(seconds, ticket)
        return 0.0

    def _attempt(self, messages: list[Message], shape: Shape) -> Reading | Failure:
        """One request, paid for from the budget."""
        tokens = upper_bound(messages, self._limit)
        self._budget.take(1, tokens)
        asked = request_body(self._config, shape, messages, self._limit)
        body = json.dumps(asked, ensure_ascii=False).encode()
        received = self._exchange(body)
        if isinstance(received, Failure):
            self._count(tokens, None, worked=received.worked)
            return received
        headers, reply = received
        outcome = self._read(reply, headers)
        worked = isinstance(outcome, Reading) or outcome.worked
        self._count(tokens, reply, worked=worked)
        return outcome

    def _exchange(self, body: bytes) -> Failure | tuple[httpx.Headers, object]:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with self._http.stream("POST", self._url, content=body, headers=headers) as response:
                data = self._whole(response)
            if response.is_success:
                return response.headers, json.loads(data)
            return failures.of_status(response.status_code, response.headers, data, self._key)
        # HTTP/2 below httpx raises errors of its own, too. None of them is an answer, all are
        # tried again, and the last is told in full.
        except Exception as error:
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            worked = not isinstance(error, NEVER_SENT)
        return failures.of_transport(failures.without(problem, self._key), worked=worked)

    def _whole(self, response: httpx.Response) -> bytes:
        """The body. httpx bounds the time between two pieces, which a dribble keeps short."""
        ends = time.monotonic() + self._config.timeout_seconds
        data = bytearray()
        for piece in response.iter_bytes():
            data += piece
            if len(data) > MOST_BYTES:
                raise ValueError(f"a reply of more than {MOST_BYTES} bytes")
            if time.monotonic() > ends:
                raise TimeoutError(f"not whole after {self._config.timeout_seconds:g} s")
        return bytes(data)

    def _read(self, reply: object, headers: httpx.Headers) -> Reading | Failure:
        """An error beside a plain answer is left aside; beside anything else it is what counts."""
        error = failures.of_error(reply, headers, self._key)
        try:
            reading = read_reply(reply, self._words, self._config.least_mass)
        except NoAnswer as problem:
            return error or failures.of_transport(str(problem), worked=True)
        if error and reading.answer == "unclear":
            return error
        raw = reading.raw and failures.without(reading.raw, self._key)
        return Reading(reading.answer, reading.p_yes, reading.mass, raw)

    def _count(self, reserved: int, reply: object, *, worked: bool) -> None:
        """Give back what was reserved and not used, and add what was to the usage."""
        if not worked:
            self._budget.give_back(1, reserved)
            return
        told = told_usage(reply)
        if told and sum(told) < reserved:
            self._budget.give_back(0, reserved - sum(told))
        with self._counting:
            self._usage.requests += 1
            self._usage.prompt_tokens += told[0] if told else 0
            self._usage.answer_tokens += told[1] if told else 0
        prompt, answer = told or (0, 0)
        progress.count(pairs=1, prompt_tokens=prompt, answer_tokens=answer)


def _refused(failure: Failure) -> Reading | Failure:
    """A text that a content filter refuses is unclear, however that is told; others fail."""
    return Reading("unclear", raw=f"refused: {failure}") if failure.filtered else failure


def upper_bound(messages: list[Message], limit: int) -> int:
    """Tokens that a request for a reply of `limit` tokens cannot exceed: no tokenizer makes more of
    a text than its bytes."""
    size = sum(len(message["content"].encode()) for message in messages)
    return size + AROUND_MESSAGES + limit


def told_usage(reply: object) -> tuple[int, int] | None:
    """(prompt, answer) tokens of a reply, if it tells both."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    prompt, answer = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (prompt, answer) if _is_count(prompt) and _is_count(answer) else None


def _is_count(number: object) -> TypeGuard[int]:
    return type(number) is int and 0 <= number < 2**40


def chat_url(url: str) -> str:
    """The address that is asked, for a server's address with or without /v1 or /chat/completions.

    Raises:
        ConfigError: Not such an address. It is not repeated, as it may hold a password.
    """
    needs = "judge.teacher.url: needs the form http://host:port or https://host/v1"
    problem = ""
    try:
        parts = urlsplit(url.strip())
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if not known or not url.strip().isprintable() or " " in url.strip():
            problem = needs
        elif "@" in parts.netloc or "?" in url or "#" in url:
            problem = (
                f"{needs}, without user, password, ? and #; a key is read from "
                "judge.teacher.api_key_env"
            )
        else:
            httpx.URL(url.strip())
    except (ValueError, httpx.InvalidURL):
        problem = needs
    if problem:
        raise ConfigError(problem)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return f"{parts.scheme}://{parts.netloc}{path}"


def api_key(variable: str) -> str:
    """The key in an environment variable, "" if there is none, without blanks around it.

    Raises:
        ConfigError: It holds what no header may hold, or there is no such variable and the name is
            rather a key itself. No key is shown.
    """
    if variable not in os.environ and KEY.fullmatch(variable):
        raise ConfigError(
            "judge.teacher.api_key_env: needs the name of an environment variable that holds the "
            "key; what is given, and not repeated here, looks like the key itself"
        )
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"judge.teacher.api_key_env: the key in {variable} holds a line break or another "
            "character that no key has; set it again"
        )
    return key


def uses_proxies(url: str) -> bool:
    """Whether proxies named in the environment are used for a server: never for this machine, nor
    for names under localhost, which are this machine's too."""
    host = urlsplit(url).hostname or ""
    return not (is_loopback(host) or host.endswith(".localhost"))


def _open(config: TeacherConfig, url: str) -> httpx.Client:
    """Redirects are not followed, as they would take the key elsewhere."""
    limits = httpx.Limits(
        max_connections=config.concurrency,
        max_keepalive_connections=config.concurrency,
        keepalive_expiry=KEPT,
    )
    connect = min(LONGEST_CONNECT, config.timeout_seconds)
    timeout = httpx.Timeout(config.timeout_seconds, connect=connect)
    problem = "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"
    try:
        certificates = httpx.create_ssl_context()
        problem = "the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used"
        return httpx.Client(
            http2=True,
            limits=limits,
            timeout=timeout,
            verify=certificates,
            trust_env=uses_proxies(url),  # certificates always
            follow_redirects=False,
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL):
        pass  # what they say may hold a proxy's password
    raise ConfigError(f"judge.teacher.url: {problem}")
