"""Teachers by name; an engine is imported when it is built, never before."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.engines import has_vllm, packs
from lmtx_ray.teacher.generating import PROMPT, WRITERS, WRITTEN_TOKENS, Generator, writing
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import Budget, Teacher, Unlimited

logger = logging.getLogger(__name__)


def build_generator(config: TeacherConfig, budget: Budget | None = None) -> Generator:
    """The configured teacher as one that writes phrases, loaded. Raises ConfigError for a kind that
    writes nothing."""
    config, budget = writing(config), budget or Unlimited()
    if config.kind == "http":
        from lmtx_ray.teacher.http import HttpTeacher

        return HttpTeacher(config, PROMPT, budget)
    if config.kind == "vllm":
        from lmtx_ray.teacher.vllm import VllmTeacher

        return VllmTeacher(config, PROMPT, budget, writes=WRITTEN_TOKENS)
    raise ConfigError(f"judge.teacher.kind {config.kind} writes nothing; {' or '.join(WRITERS)} do")


def build_teacher(
    config: TeacherConfig,
    prompt: Prompt,
    budget: Budget | None = None,
    deterministic: bool | None = None,
    members: Sequence[Teacher] | None = None,
) -> Teacher:
    """The configured teacher, loaded. `deterministic` is for engines, see JudgeConfig; `members`
    are those of an ensemble, where somebody has built them. Raises ConfigError for settings its
    kind cannot use."""
    budget = budget or Unlimited()
    if config.kind == "none":
        raise ConfigError("judge.teacher.kind is none: there is no judge to ask; set vllm or http")
    if config.kind == "lexical":
        from lmtx_ray.teacher.rule import LexicalTeacher

        return LexicalTeacher(config, prompt, budget)
    if config.kind == "http":
        from lmtx_ray.teacher.http import HttpTeacher

        return HttpTeacher(config, prompt, budget)
    if config.kind == "ensemble":
        from lmtx_ray.teacher.ensemble import EnsembleTeacher

        members = members or [
            build_teacher(one, get_prompt(one.prompt), budget, deterministic)
            for one in config.members
        ]
        return EnsembleTeacher(config, prompt, members)
    if config.kind == "reranker":
        from lmtx_ray.teacher.reranker import build_reranker

        return build_reranker(config, prompt, budget, deterministic)
    return _own_engine(config, prompt, budget, deterministic)


def _own_engine(
    config: TeacherConfig, prompt: Prompt, budget: Budget, deterministic: bool | None
) -> Teacher:
    """A model of kind vllm, in the engine that runs it here."""
    if packs(config):
        from lmtx_ray.teacher.packed import PackedTeacher
        from lmtx_ray.teacher.packed_model import CannotPack

        try:
            return PackedTeacher(config, prompt, budget)
        except CannotPack as error:
            if config.engine == "packed" or not has_vllm():
                raise
            logger.info("%s; taking vLLM", error)
    from lmtx_ray.teacher.vllm import VllmTeacher

    return VllmTeacher(config, prompt, budget, deterministic)
