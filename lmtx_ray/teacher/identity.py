"""What makes two teachers the same: everything that changes an answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.words import WORDS_VERSION
from lmtx_ray.io.identity import fingerprint, model_identity
from lmtx_ray.teacher.prompts import Prompt

# Of each kind, the settings that change what is answered. `url` is not among them: a model that
# moves to another port is the same one; `revision` tells models of one name apart.
IDENTITY = {
    "vllm": (
        "kind",
        "revision",
        "chat",
        "answer_prefix",
        "thinking_tokens",
        "max_document_tokens",
        "max_label_tokens",
        "dtype",
    ),
    "http": (
        "kind",
        "revision",
        "answer_prefix",
        "thinking_tokens",
        "max_document_tokens",
        "max_label_tokens",
    ),
    "lexical": ("kind",),
    "none": ("kind",),
}


def teacher_identity(config: TeacherConfig, prompt: Prompt) -> tuple[str, str]:
    """(prompt, teacher) fingerprints of everything that changes an answer; loads no engine."""
    settings = {name: getattr(config, name) for name in IDENTITY[config.kind]}
    of_kind: dict[str, Callable[[str], str]] = {
        "vllm": model_identity,
        "http": str,
        "lexical": lambda _: f"words {WORDS_VERSION}",  # what its answers are made of
    }
    model = of_kind[config.kind](config.model) if config.kind in of_kind else ""
    return prompt.fingerprint, fingerprint(settings, model)
