"""A teacher behind an OpenAI-compatible chat endpoint, for models served elsewhere.

Each pair is one request for one token with log-probabilities; a server with prefix caching still
shares a document's prefix, because its candidates are asked one after another. What the judge said
is an answer, be it unclear; a call that failed is none, and ends the table with an Interrupted that
holds the answers so far.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.lengths import first_words
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.io import halting, progress
from lmtx_ray.teacher.adapting import Message
from lmtx_ray.teacher.client import ChatClient, api_key, chat_url
from lmtx_ray.teacher.defusing import defused
from lmtx_ray.teacher.generating import phrases_table
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.pacing import Stopped
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Budget, Halted, Usage, answers_table, with_answers
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.teacher.replies import thinks
from lmtx_ray.teacher.writing_client import WritingClient, written

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.2  # between two looks whether the step is halted


class HttpTeacher:
    """A Teacher (see protocol). Connections are opened by the process that asks, when it asks.
    Several threads may ask.

    Raises:
        ConfigError: An address, model or key that cannot be right.
    """

    def __init__(self, config: TeacherConfig, prompt: Prompt, budget: Budget) -> None:
        if not config.model:
            raise ConfigError("judge.teacher.model: the name under which the server has the model")
        chat_url(config.url)
        api_key(config.api_key_env)
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self.commit, self.usage = "", Usage()
        self._config, self._prompt, self._budget = config, prompt, budget
        self._clients: dict[int, ChatClient] = {}  # by process; a parent's is never touched
        self._warned, self._lock = False, threading.Lock()

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair, in order; the same prompt is asked once.

        Raises:
            Interrupted: A call failed for good or the budget is used up. Requests that were under
                way have ended, and `answers` holds everything that was answered, as it does of
                any other failure (see `protocol.paid_for`).
        """
        begun = time.monotonic()
        pairs, prompts = self._prompts(questions)
        job = _Job(self._client(), self._config.concurrency)
        try:
            said = job.ask({prompt: self._messages(prompt) for prompt in prompts})
        finally:
            self._count_seconds(begun)
        self._warn_of_thoughts(said)
        answered = [
            (pair, said[prompt])
            for pair, prompt in zip(pairs, prompts, strict=True)
            if prompt in said
        ]
        table = answers_table([pair for pair, _ in answered], [reading for _, reading in answered])
        if job.problem is not None:
            raise with_answers(job.problem, table)
        return table

    def generate(self, documents: pa.Table) -> pa.Table:
        """PHRASES of DOCUMENTS, see `generating.Generator`; of a teacher whose prompt is that.

        Raises:
            Interrupted: As `judge`; its `answers` are PHRASES.
        """
        begun = time.monotonic()
        rows = documents.select(["doc_id", "title", "text"]).to_pylist()
        prompts = [self._prompt_of(row["title"], row["text"], "") for row in rows]
        client = WritingClient(self._config, self._budget, self.usage)
        job = _Job(client, self._config.concurrency)
        try:
            said = job.ask({prompt: self._messages(prompt) for prompt in prompts})
        finally:
            client.close()
            self._count_seconds(begun)
        there = [
            (row["doc_id"], said[p]) for row, p in zip(rows, prompts, strict=True) if p in said
        ]
        table = phrases_table([one for one, _ in there], [written(reply) for _, reply in there])
        if job.problem is not None:
            raise with_answers(job.problem, table)
        return table

    def _prompts(self, questions: pa.Table) -> tuple[list[tuple[str, int]], list[str]]:
        pairs, prompts = [], []
        for question in questions.to_pylist():
            for label, text in zip(question["label_ids"], question["label_texts"], strict=True):
                pairs.append((question["doc_id"], label))
                prompts.append(self._prompt_of(question["title"], question["text"], text or ""))
        return pairs, prompts

    def _prompt_of(self, title: str | None, text: str, label: str) -> str:
        guarded = self._prompt.guarded(document_text(title, text))
        document = defused(first_words(guarded, self._config.max_document_tokens))
        named = defused(first_words(label, self._config.max_label_tokens))
        return self._prompt.before + document + self._prompt.between + named + self._prompt.after

    def _messages(self, prompt: str) -> list[Message]:
        """The prompt's cue is for models without a chat template and not among them."""
        parts = (
            ("system", self._prompt.system),
            ("user", prompt),
            ("assistant", self._config.answer_prefix),
        )
        return [{"role": role, "content": content} for role, content in parts if content]

    def _client(self) -> ChatClient:
        process = os.getpid()
        with self._lock:  # two clients would have a gate each, and twice the requests at once
            if process not in self._clients:
                client = ChatClient(self._config, self._prompt.answers, self._budget, self.usage)
                self._clients[process] = client
                weakref.finalize(self, _close, client, process)
            return self._clients[process]

    def _count_seconds(self, begun: float) -> None:
        with self._lock:
            self.usage.seconds += time.monotonic() - begun

    def _warn_of_thoughts(self, said: dict[str, Reading]) -> None:
        if not self._warned and any(thinks(reading) for reading in said.values()):
            self._warned = True
            logger.warning(
                "the judge began to think instead of answering, so answers are unclear;"
                " judge.teacher.thinking_tokens gives it room"
            )


def _close(client: ChatClient, process: int) -> None:
    if os.getpid() == process:
        client.close()


class _Job:
    """The prompts of one table, asked by several threads until all have answers or one fails."""

    def __init__(self, client: ChatClient, concurrency: int) -> None:
        self._client, self._concurrency = client, concurrency
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.problem: Exception | None = None
        self._tell, self._halting = progress.teller(), halting.current()

    def ask(self, prompts: dict[str, list[Message]]) -> dict[str, Reading]:
        """The readings there are. With `problem` set, some may be missing."""
        threads = max(min(self._concurrency, len(prompts)), 1)
        with ThreadPoolExecutor(threads, "judge") as pool:
            futures = [pool.submit(self._one, messages) for messages in prompts.values()]
            try:
                readings = [self._result(future) for future in futures]
            finally:
                self._give_up()  # before the pool waits for its threads
        return {
            prompt: reading
            for prompt, reading in zip(prompts, readings, strict=True)
            if reading is not None
        }

    def _one(self, messages: list[Message]) -> Reading | None:
        if self._stop.is_set() or self._halted():
            return None
        try:
            reading = self._client.ask(messages, self._stop)
            self._tell(1)
            return reading
        except Stopped:
            return None
        except Exception as problem:  # a budget's store may be away, too: others were answered
            self._end(problem)
            return None

    def _result(self, future: Future[Reading | None]) -> Reading | None:
        """Of one request; threads that wait to ask again are told where the step is halted."""
        while not future.done():
            with suppress(TimeoutError):
                return future.result(LOOK_SECONDS)
            self._halted()
        return future.result()

    def _halted(self) -> bool:
        if is_halted := self._halting.is_set():
            self._end(Halted("another worker met the end of the step"))
        return is_halted

    def _end(self, problem: Exception) -> None:
        with self._lock:
            self.problem = self.problem or problem
        self._give_up()

    def _give_up(self) -> None:
        self._stop.set()
        self._client.wake()
