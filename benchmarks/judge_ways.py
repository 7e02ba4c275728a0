"""The ways to put the same questions to the same judge, each timed, for `benchmarks.judge`.

All get the same prompts as token ids, made by the teacher; only the teacher's own way makes them
inside its time. All ways through vLLM use one engine, which forgets what it cached before each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from benchmarks.gpu import Watch
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import UNITS_AT_ONCE, Unlimited
from lmtx_ray.teacher.reading import Reading, from_log_probabilities
from lmtx_ray.teacher.vllm import VllmTeacher

PAPERS_BATCH = 16


@dataclass
class Measured:
    """One way's figures. `prompt_tokens` and `cached_tokens` are over all judgements; `busy` is the
    GPU's share of the time, None without one."""

    judgements: int
    seconds: float
    prompt_tokens: int
    cached_tokens: int = 0
    busy: float | None = None
    decisions: list[str] = field(default_factory=list)

    @property
    def a_second(self) -> float:
        """Judgements a second."""
        return self.judgements / self.seconds

    @property
    def computed(self) -> int:
        """Prompt tokens that went through the model."""
        return self.prompt_tokens - self.cached_tokens

    def shown(self) -> dict[str, Any]:
        """As it stands in the result."""
        per = {
            "computed_tokens": self.computed / self.judgements,
            "cached_tokens": self.cached_tokens / self.judgements,
        }
        return {
            "judgements": self.judgements,
            "seconds": round(self.seconds, 2),
            "judgements_a_second": round(self.a_second, 1),
            **{f"{name}_per_judgement": round(value, 1) for name, value in per.items()},
            **({} if self.busy is None else {"gpu_busy_share": round(self.busy, 3)}),
        }


def timed(prompts: Sequence[list[int]], ask: Callable[[], tuple[list[str], int]]) -> Measured:
    """What `ask` takes to give (decisions, cached tokens) of the prompts."""
    with Watch() as watch:
        started = time.perf_counter()
        decisions, cached = ask()
        seconds = time.perf_counter() - started
    tokens = sum(map(len, prompts))
    return Measured(len(prompts), seconds, tokens, cached, watch.busy, decisions)


class Counted(VllmTeacher):
    """The teacher, which also counts the tokens that came out of the prefix cache."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__(config, get_prompt(config.prompt), Unlimited())
        self.hits: list[int] = []

    def _read(self, output: Any) -> Reading:
        self.hits.append(output.num_cached_tokens or 0)
        return super()._read(output)

    def prompts(self, questions: pa.Table) -> list[list[int]]:
        """The token ids of every pair."""
        return self._granted(questions)[1]

    def answer_ids(self) -> dict[int, str]:
        """token -> the word that it spells."""
        return dict(self._tokens)

    def answer_values(self) -> dict[str, float]:
        """word -> its value."""
        return dict(self._prompt.answers)

    def end_to_end(self, tables: Sequence[pa.Table], deterministic: bool) -> Measured:
        """From QUESTIONS to ANSWERS, with as many tables in work as a run has."""
        prompts = [prompt for table in tables for prompt in self.prompts(table)]
        self._start_anew(deterministic)

        def ask() -> tuple[list[str], int]:
            with ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
                answers = pa.concat_tables(pool.map(self.judge, tables))
            return answers["answer"].to_pylist(), sum(self.hits)

        return timed(prompts, ask)

    def plain(self, prompts: Sequence[list[int]], cached: bool) -> Measured:
        """All prompts in one `LLM.generate`, with the prefix cache or without reading it."""
        self._start_anew(deterministic=False)
        asked: Any = [{"prompt_token_ids": prompt} for prompt in prompts]
        sampling = self._answer.clone()
        sampling.skip_clone = False  # as people's are
        sampling.skip_reading_prefix_cache = not cached

        def ask() -> tuple[list[str], int]:
            outputs = self._engine.run(lambda llm: llm.generate(asked, sampling, use_tqdm=False))
            return [self._read(output).answer for output in outputs], sum(self.hits)

        return timed(prompts, ask)

    def shut_down(self) -> None:
        """End the engine, which gives back its memory."""
        self._engine.run(lambda llm: llm.llm_engine.engine_core.shutdown())

    def _start_anew(self, deterministic: bool) -> None:
        self._deterministic = deterministic
        self._engine.forget()
        for remembered in (self._rendering._tail, self._rendering._cut_label):
            remembered.cache_clear()
        self.hits.clear()


def load_causal(folder: str, dummy: bool, dtype: torch.dtype) -> Any:
    """The model in transformers, on the GPU if there is one; with `dummy` without its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not dummy:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
    with torch.device(device):
        config = AutoConfig.from_pretrained(folder)
        return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


def papers_way(
    model: Any, prompts: Sequence[list[int]], words: dict[int, str], answers: dict[str, float]
) -> Measured:
    """`generate` of one token over left-padded batches of 16, read by the teacher's rule."""

    def ask() -> tuple[list[str], int]:
        decisions: list[str] = []
        for start in range(0, len(prompts), PAPERS_BATCH):
            decisions += _generate(model, prompts[start : start + PAPERS_BATCH], words, answers)
        return decisions, 0

    return timed(prompts, ask)


def _generate(
    model: Any, batch: Sequence[list[int]], words: dict[int, str], answers: dict[str, float]
) -> list[str]:
    longest = max(map(len, batch))
    ids_BL = torch.zeros(len(batch), longest, dtype=torch.int64)
    mask_BL = torch.zeros_like(ids_BL)
    for row, prompt in enumerate(batch):
        ids_BL[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask_BL[row, longest - len(prompt) :] = 1
    with torch.inference_mode():
        said = model.generate(
            input_ids=ids_BL.to(model.device),
            attention_mask=mask_BL.to(model.device),
            max_new_tokens=1,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
    found_BW = said.logits[0].float().log_softmax(-1)[:, list(words)].tolist()
    return [
        from_log_probabilities(zip(words.values(), row, strict=True), answers, 0.0, "").answer
        for row in found_BW
    ]


def teacher_config(folder: Path, prompt: str, document_tokens: int, batched: int) -> TeacherConfig:
    """The teacher's settings: those of a run, but for what is given here."""
    return TeacherConfig(
        model=str(folder),
        prompt=prompt,
        max_document_tokens=document_tokens,
        max_num_batched_tokens=batched,
    )
