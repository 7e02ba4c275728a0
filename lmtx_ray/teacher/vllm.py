"""The vLLM teacher: one token for each pair, and the exact log-probabilities of all its spellings.

A document's candidates go to the engine one after another and share the prefix up to the label.
Where it has to be deterministic, the engine judges one table at a time and empties its prefix cache
before: kernels round differently for other batches, and a table must give the same bits whatever
was judged before it. Else tables overlap in the engine. The next table is rendered meanwhile.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import torch

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import progress
from lmtx_ray.search import hardware
from lmtx_ray.teacher.engine_thread import EngineThread
from lmtx_ray.teacher.engines import EXTRA
from lmtx_ray.teacher.generating import phrases_table
from lmtx_ray.teacher.granting import Granted, grant
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.model_files import (
    commit_of,
    hub_revision,
    load_tokenizer,
    local_files,
    sentence,
    too_long,
)
from lmtx_ray.teacher.pairs import rendering_of
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Budget, Usage, answers_table
from lmtx_ray.teacher.reading import Reading, begins_with, from_log_probabilities
from lmtx_ray.teacher.spellings import answer_tokens

ENDS_OF_THOUGHT = ["</think>", "</thinking>"]


def load_engine(config: TeacherConfig, folder: str, longest: int) -> Any:
    """An in-process vLLM engine for sequences of up to `longest` tokens."""
    settings = _machine_settings(config)
    try:
        import vllm  # reads the environment, so after its settings
    except ImportError as error:
        raise ConfigError(f"judge.teacher.engine: vllm needs vLLM: {EXTRA} ({error})") from error
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        return vllm.LLM(
            model=folder,
            revision=hub_revision(config),
            tokenizer_revision=hub_revision(config),
            max_model_len=longest,
            tensor_parallel_size=config.tensor_parallel_size,
            max_num_batched_tokens=max(config.max_num_batched_tokens, longest),
            enable_prefix_caching=True,
            logprobs_mode="raw_logprobs",
            trust_remote_code=False,
            seed=0,
            disable_log_stats=True,
            **settings,
        )
    except ValueError as error:  # of the model or the settings: pydantic's are ValueErrors too
        raise too_long(config, longest, sentence(error)) from error


def _machine_settings(config: TeacherConfig) -> dict[str, Any]:
    """The engine's settings for this machine; the others go into the environment."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if torch.cuda.is_available():
        # having looked for a GPU, a process can no longer be forked into one that uses it
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        return {"dtype": config.dtype, "gpu_memory_utilization": config.gpu_memory_share}
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(config.kv_cache_gib))
    emulated = config.dtype == "auto" and not hardware.has_native_bfloat16()
    return {
        "dtype": "float32" if emulated else config.dtype,  # emulated, bfloat16 is six times slower
        "enforce_eager": True,
        # a prefix is shared in whole blocks; with the CPU's usual 128 tokens a third is not
        "block_size": 32,
    }


class VllmTeacher:
    """A Teacher (see protocol) over one engine."""

    def __init__(
        self,
        config: TeacherConfig,
        prompt: Prompt,
        budget: Budget,
        deterministic: bool | None = None,
        writes: int = 0,
    ) -> None:
        """`deterministic` None means where there is no GPU; `writes` leaves room for replies of so
        many tokens."""
        folder = local_files(config)
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self.usage = Usage()
        self._config, self._prompt, self._budget = config, prompt, budget
        tokenizer = load_tokenizer(folder, config.model, hub_revision(config))
        self.commit = commit_of(config)
        self._rendering = rendering_of(tokenizer, prompt, config)
        answer_tokens(self._rendering, prompt.answers, len(tokenizer), config.model)  # or refuse
        self._writes, longest = writes, self._rendering.longest + writes
        self._engine = EngineThread(lambda: load_engine(config, folder, longest))
        weakref.finalize(self, self._engine.close)  # the thread would hold the engine for good
        if deterministic is None:
            deterministic = not torch.cuda.is_available()
        self._deterministic = deterministic
        self._turn, self._counting, self._render = (threading.Lock() for _ in range(3))
        vocabulary = self._engine.engine.llm_engine.model_config.get_vocab_size()
        self._tokens = answer_tokens(self._rendering, prompt.answers, vocabulary, config.model)
        letters = self._rendering.letters  # not self: without a cycle it goes when nobody holds it
        self._text_of = lru_cache(lambda token: letters.decode([token]))
        self._answer, self._think = self._sampling()

    def _sampling(self) -> tuple[Any, Any]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        answer = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            logprob_token_ids=[*self._tokens],
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,  # else each request takes a deep copy of this, 60 microseconds
        )
        thinking = max(self._config.thinking_tokens, 1)
        think = SamplingParams(
            max_tokens=thinking,
            temperature=0.0,
            stop=ENDS_OF_THOUGHT,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,
        )
        return answer, think

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair of QUESTIONS, in order; by a deterministic teacher bit-identical
        for the same table. Several threads may call it."""
        started = time.monotonic()
        with self._render:  # a tokenizer is not for two threads
            granted = self._granted(questions)
        answers = answers_table(granted.pairs, self._in_turn(granted.prompts, self._ask))
        return self._told(answers, granted, started)

    def generate(self, documents: pa.Table) -> pa.Table:
        """PHRASES of DOCUMENTS, see `generating.Generator`; of a teacher whose prompt is that.

        Raises:
            BudgetReached: With the PHRASES before it as its `answers`.
        """
        from vllm import SamplingParams

        started = time.monotonic()
        questions = documents.select(["doc_id", "title", "text"])
        for name, values in (("label_ids", [0]), ("label_texts", [""])):
            questions = questions.append_column(name, [[values] * len(documents)])
        with self._render:
            granted = self._granted(questions)
        sampling = SamplingParams(max_tokens=self._writes, temperature=0.0)

        write = partial(self._engine.generate, sampling=sampling, tell=progress.teller())
        said = [output.outputs[0] for output in self._in_turn(granted.prompts, write)]
        self._count(sum(len(one.token_ids) for one in said))
        table = phrases_table([doc_id for doc_id, _ in granted.pairs], [one.text for one in said])
        return self._told(table, granted, started)

    def _granted(self, questions: pa.Table) -> Granted:
        most = (self._writes or 1) + self._config.thinking_tokens
        return grant(self._rendering, self._budget, questions, most)

    def _told(self, table: pa.Table, granted: Granted, began: float) -> pa.Table:
        """The table that was made of the prompts, counted; raised with what stopped it, if any."""
        with self._counting:
            self.usage.requests += len(granted.pairs)
            self.usage.prompt_tokens += granted.tokens
            self.usage.seconds += time.monotonic() - began
        progress.count(prompt_tokens=granted.tokens)
        if granted.stopped:
            granted.stopped.answers = table
            raise granted.stopped
        return table

    def _in_turn(
        self, prompts: Sequence[list[int]], ask: Callable[[Sequence[list[int]]], list[Any]]
    ) -> list[Any]:
        if not self._deterministic:
            return ask(prompts)
        with self._turn:
            self._engine.forget()
            return ask(prompts)

    def _ask(self, prompts: Sequence[list[int]]) -> list[Reading]:
        """The reading of each prompt's answer, after thoughts if there are any."""
        if self._config.thinking_tokens:
            prompts = self._thought(prompts)
        asked = [prompt for prompt in prompts if prompt]
        tell = progress.teller()

        def answered(count: int) -> None:
            tell(count)
            progress.count(pairs=count)

        outputs = self._engine.generate(asked, self._answer, answered)
        self._count(len(asked), sum(output.num_cached_tokens or 0 for output in outputs))
        said = iter(outputs)
        unended = f"still thinking after {self._config.thinking_tokens} tokens"
        return [
            self._read(next(said)) if prompt else Reading("unclear", raw=unended)
            for prompt in prompts
        ]

    def _thought(self, prompts: Sequence[list[int]]) -> list[list[int]]:
        """Each prompt with the model's thoughts behind it; empty where they did not end."""
        resumed = []
        outputs = self._engine.generate(prompts, self._think)
        for prompt, output in zip(prompts, outputs, strict=True):
            said = output.outputs[0]
            thoughts = list(said.token_ids)
            ended = said.finish_reason != "length"
            self._count(len(thoughts))
            self._budget.give_back(0, self._config.thinking_tokens - len(thoughts))
            resumed.append(self._rendering.resumed(prompt, thoughts, ended) or [])
        return resumed

    def _count(self, tokens: int, cached: int = 0) -> None:
        with self._counting:
            self.usage.answer_tokens += tokens
            self.usage.cached_tokens += cached
        progress.count(answer_tokens=tokens)

    def _read(self, output: Any) -> Reading:
        said = output.outputs[0]
        found, first = said.logprobs[0], said.token_ids[0]
        given = [(word, found[token].logprob) for token, word in self._tokens.items()]
        opening = begins_with(self._text_of(first), math.exp(found[first].logprob))
        least_mass = self._prompt.least_mass(self._config.least_mass)
        return from_log_probabilities(given, self._prompt.answers, least_mass, opening)
