"""The ways to put the same questions to the same judge, each timed, for `benchmarks.judge`.

All get the same prompts as token ids, made by the teacher; only the teachers' own ways make them
inside their time. All ways through vLLM in this process use one engine, which forgets what it
cached before each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from benchmarks.gpu import Watch
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.teacher.granting import grant
from lmtx_ray.teacher.packed import PackedTeacher
from lmtx_ray.teacher.protocol import UNITS_AT_ONCE, Unlimited
from lmtx_ray.teacher.reading import from_log_probabilities
from lmtx_ray.teacher.vllm import VllmTeacher

PAPERS_BATCH = 16


@dataclass
class Measured:
    """One way's figures. `prompt_tokens` and `cached_tokens` (None where they
    are not told) are over all judgements; `busy` is the
    GPU's share of the time, None without one, and `cpu` that of all cores."""

    judgements: int
    seconds: float
    prompt_tokens: int
    cached_tokens: int | None = 0
    busy: float | None = None
    decisions: list[str] = field(default_factory=list)
    cpu: float | None = None

    @property
    def a_second(self) -> float:
        """Judgements a second."""
        return self.judgements / self.seconds

    @property
    def computed(self) -> int:
        """Prompt tokens that went through the model."""
        return self.prompt_tokens - (self.cached_tokens or 0)

    def shown(self) -> dict[str, Any]:
        """As it stands in the result."""
        per = {}
        if self.cached_tokens is not None:
            per["computed_tokens"] = self.computed / self.judgements
            per["cached_tokens"] = self.cached_tokens / self.judgements
        return {
            "judgements": self.judgements,
            "seconds": round(self.seconds, 2),
            "judgements_a_second": round(self.a_second, 1),
            **{f"{name}_per_judgement": round(value, 1) for name, value in per.items()},
            **({} if self.busy is None else {"gpu_busy_share": round(self.busy, 3)}),
            **({} if self.cpu is None else {"cpu_share": round(self.cpu, 3)}),
        }


def timed(
    prompts: Sequence[list[int]], ask: Callable[[], tuple[list[str], int]], times: int = 1
) -> Measured:
    """The fastest of some times that `ask` gives (decisions, cached tokens) of the prompts."""
    return min((_timed(prompts, ask) for _ in range(times)), key=lambda one: one.seconds)


def _timed(prompts: Sequence[list[int]], ask: Callable[[], tuple[list[str], int]]) -> Measured:
    with Watch() as watch:
        started, before = time.perf_counter(), process_seconds()
        decisions, cached = ask()
        seconds = time.perf_counter() - started
    share = (process_seconds() - before) / seconds / usable_cores()
    tokens = sum(map(len, prompts))
    return Measured(len(prompts), seconds, tokens, cached, watch.busy, decisions, share)


def process_seconds() -> float:
    """Of all cores, what this process and those below it have used so far."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(") ")[2].split()
            pid = int(path.parent.name)
            parents[pid], used[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(used.get(pid, 0) for pid in own) / os.sysconf("SC_CLK_TCK")


def prompts_of(teacher: PackedTeacher | VllmTeacher, questions: pa.Table) -> list[list[int]]:
    """The token ids of every pair."""
    return grant(teacher._rendering, Unlimited(), questions, 1).prompts


def end_to_end(
    teacher: PackedTeacher | VllmTeacher, tables: Sequence[pa.Table], times: int
) -> Measured:
    """From QUESTIONS to ANSWERS, with as many tables in work as a run has."""
    prompts = [prompt for table in tables for prompt in prompts_of(teacher, table)]

    def ask() -> tuple[list[str], int]:
        start_anew(teacher)
        before = teacher.usage.cached_tokens
        with ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
            answers = pa.concat_tables(pool.map(teacher.judge, tables))
        return answers["answer"].to_pylist(), teacher.usage.cached_tokens - before

    return timed(prompts, ask, times)


def start_anew(teacher: PackedTeacher | VllmTeacher) -> None:
    """Let a teacher forget what it had from questions before."""
    if isinstance(teacher, VllmTeacher):
        teacher._engine.forget()
    for remembered in (teacher._rendering._tail, teacher._rendering._cut_label):
        remembered.cache_clear()


def plain(teacher: VllmTeacher, prompts: Sequence[list[int]], cached: bool, times: int) -> Measured:
    """All prompts in one `LLM.generate`, with the prefix cache or without reading it."""
    asked: Any = [{"prompt_token_ids": prompt} for prompt in prompts]
    sampling = teacher._answer.clone()
    sampling.skip_clone = False  # as people's are
    sampling.skip_reading_prefix_cache = not cached

    def ask() -> tuple[list[str], int]:
        start_anew(teacher)
        outputs = teacher._engine.run(lambda llm: llm.generate(asked, sampling, use_tqdm=False))
        read = [teacher._read(output).answer for output in outputs]
        return read, sum(output.num_cached_tokens or 0 for output in outputs)

    return timed(prompts, ask, times)


def shut_down(teacher: VllmTeacher) -> None:
    """End the engine, which gives back its memory."""
    teacher._engine.run(lambda llm: llm.llm_engine.engine_core.shutdown())
    teacher._engine.close()


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
    model: Any,
    prompts: Sequence[list[int]],
    words: dict[int, str],
    answers: dict[str, float],
    times: int = 1,
) -> Measured:
    """`generate` of one token over left-padded batches of 16, read by the teacher's rule."""

    def ask() -> tuple[list[str], int]:
        decisions: list[str] = []
        for start in range(0, len(prompts), PAPERS_BATCH):
            decisions += _generate(model, prompts[start : start + PAPERS_BATCH], words, answers)
        return decisions, 0

    return timed(prompts, ask, times)


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
