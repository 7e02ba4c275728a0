"""The packed teacher: a small model in this process that judges all labels of a document at once.

It needs torch and transformers only. What a table's answers are is a function of the table alone,
bit by bit: its steps are, and nothing is kept from one to the next. On a CPU several steps are
computed at once, each by threads of its own. While one table is computed the next is rendered.
"""

from __future__ import annotations

import math
import threading
import time
from functools import lru_cache

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io import progress
from lmtx_ray.teacher.engines import needs_vllm
from lmtx_ray.teacher.granting import Granted, grant
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.model_files import commit_of, hub_revision, load_tokenizer, local_files
from lmtx_ray.teacher.packed_model import INSTEAD, Answers, CannotPack, PackedModel, step_threads
from lmtx_ray.teacher.pairs import rendering_of
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Budget, Usage, answers_table
from lmtx_ray.teacher.reading import Reading, begins_with, from_log_probabilities
from lmtx_ray.teacher.spellings import answer_tokens

PROBE = ("A study of the heart and of its valves.", ("heart", "lung disease"))


class PackedTeacher:
    """A Teacher (see protocol) over one model of transformers.

    Raises:
        ConfigError: The model cannot be used so; names what to set instead.
    """

    def __init__(self, config: TeacherConfig, prompt: Prompt, budget: Budget) -> None:
        folder = local_files(config)
        if setting := needs_vllm(config):
            raise CannotPack(f"{setting} needs vLLM: {INSTEAD}")
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self.usage = Usage()
        self._config, self._prompt, self._budget = config, prompt, budget
        tokenizer = load_tokenizer(folder, config.model, hub_revision(config))
        self.commit = commit_of(config)
        self._rendering = rendering_of(tokenizer, prompt, config)
        self._render, self._counting = threading.Lock(), threading.Lock()
        self._threads = step_threads(config)
        longest = self._rendering.longest
        self._model = self._threads.submit(PackedModel, config, folder, longest).result()
        vocabulary = min(self._model.vocabulary, len(tokenizer))
        tokens = answer_tokens(self._rendering, prompt.answers, vocabulary, config.model)
        self._words = [*prompt.answers]
        self._model.listen_for(
            [[token for token, word in tokens.items() if word == wanted] for wanted in self._words]
        )
        probe = self._rendering.questions(None, *PROBE)
        self._threads.submit(self._model.try_out, probe, config.model).result()
        self._text_of = lru_cache(lambda token: self._rendering.letters.decode([token]))

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair of QUESTIONS, in order, bit-identical for the same table. Several
        threads may call it."""
        started = time.monotonic()
        with self._render:  # a tokenizer is not for two threads
            granted = grant(self._rendering, self._budget, questions, 1)
        answers = answers_table(granted.pairs, self._ask(granted))
        with self._counting:
            self.usage.seconds += time.monotonic() - started
        if granted.stopped:
            granted.stopped.answers = answers
            raise granted.stopped
        return answers

    def _ask(self, granted: Granted) -> list[Reading]:
        tell, found = progress.teller(), []
        steps = self._model.steps(granted.documents)
        for answers in self._threads.map(self._model.answer, steps):
            tell(len(answers.tops))
            progress.count(pairs=len(answers.tops), answer_tokens=len(answers.tops))
            found.append(answers)
        self._count(len(granted.pairs), granted.tokens, sum(one.computed for one in found))
        return [reading for answers in found for reading in self._readings(answers)]

    def _readings(self, answers: Answers) -> list[Reading]:
        least_mass = self._prompt.least_mass(self._config.least_mass)
        return [
            from_log_probabilities(
                zip(self._words, said, strict=True),
                self._prompt.answers,
                least_mass,
                begins_with(self._text_of(token), math.exp(top)),
            )
            for said, (token, top) in zip(answers.words_PW, answers.tops, strict=True)
        ]

    def _count(self, answers: int, prompt_tokens: int, computed: int) -> None:
        with self._counting:
            self.usage.requests += answers
            self.usage.answer_tokens += answers
            self.usage.prompt_tokens += prompt_tokens
            self.usage.cached_tokens += prompt_tokens - computed
        progress.count(prompt_tokens=prompt_tokens)
