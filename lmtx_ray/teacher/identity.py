"""What makes two teachers the same: everything that changes an answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.words import WORDS_VERSION
from lmtx_ray.io.identity import fingerprint, model_identity
from lmtx_ray.teacher.defusing import DEFUSED
from lmtx_ray.teacher.prompts import Prompt, get_prompt

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
    "reranker": ("kind", "revision", "chat", "max_document_tokens", "max_label_tokens", "dtype"),
    "ensemble": ("kind",),  # and its members' own
    "lexical": ("kind",),
    "none": ("kind",),
}
# Those that count where they are set only: without them a judge is the one that it was before they
# counted, and what it was asked stays known.
WHERE_SET = {"reranker": {"answer_prefix": "", "thinking_tokens": 0}}


def teacher_identity(config: TeacherConfig, prompt: Prompt) -> tuple[str, str]:
    """(prompt, teacher) fingerprints of everything that changes an answer; loads no engine."""
    if config.kind == "ensemble":
        return prompt.fingerprint, fingerprint(config.kind, _members(config))
    settings = {name: getattr(config, name) for name in IDENTITY[config.kind]}
    for name, unset in WHERE_SET.get(config.kind, {}).items():
        settings |= {name: value} if (value := getattr(config, name)) != unset else {}
    of_kind: dict[str, Callable[[str], str]] = {
        "vllm": model_identity,
        "reranker": model_identity,
        "http": lambda model: f"{model} {DEFUSED}",
        "lexical": lambda _: f"words {WORDS_VERSION}",  # what its answers are made of
    }
    model = of_kind[config.kind](config.model) if config.kind in of_kind else ""
    return prompt.fingerprint, fingerprint(settings, model)


def _members(config: TeacherConfig) -> list[list[object]]:
    """What makes the members of an ensemble: an unclear one has no say, so that counts too."""
    prompts = [(one, get_prompt(one.prompt)) for one in config.members]
    return [
        [*teacher_identity(one, prompt), prompt.least_mass(one.least_mass)]
        for one, prompt in prompts
    ]


def describe(config: TeacherConfig, prompt: Prompt) -> dict[str, object]:
    """What a verdict store keeps of a judge, for people who look there."""
    own, teacher = teacher_identity(config, prompt)
    about: dict[str, object] = {
        "kind": config.kind,
        "model": config.model,
        "revision": config.revision,
        "prompt": {
            "name": prompt.name,
            "before": prompt.before,
            "label": prompt.label,
            "after": prompt.after,
        },
        "fingerprints": {"prompt": own, "teacher": teacher},
    }
    if config.kind == "ensemble":
        about["members"] = [describe(one, get_prompt(one.prompt)) for one in config.members]
    return about
