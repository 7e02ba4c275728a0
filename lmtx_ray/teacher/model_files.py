"""A judge's own files, for whichever engine runs them: its tokenizer, its revision, its commit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io.node_cache import node_copy

MANY = 10**9


def local_files(config: TeacherConfig) -> str:
    """Where the model's files are: a folder of this node, or the hub id. Raises ConfigError where
    no model is named."""
    if not config.model:
        raise ConfigError("judge.teacher.model: needs a model folder or a hub id")
    return node_copy(config.model) if "://" in config.model else config.model


def load_tokenizer(folder: str, model: str, revision: str | None = None) -> Any:
    """A model's tokenizer, which cuts nothing and runs no code of the model's.

    `folder` is where its files are; `model` is named where a ConfigError says what is wrong.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            folder,
            revision=revision,
            trust_remote_code=False,
            model_max_length=MANY,  # documents are cut here
        )
    except (OSError, ValueError, KeyError) as error:  # a file that is none of a tokenizer's
        raise ConfigError(f"judge.teacher.model {model!r}: {sentence(error)}") from error


def hub_revision(config: TeacherConfig) -> str | None:
    """The commit or branch to take from the hub; None for a folder, where `revision` is a mark."""
    is_folder = "://" in config.model or os.path.isdir(config.model)
    return None if is_folder else config.revision or None


def commit_of(config: TeacherConfig) -> str:
    """The commit of a hub model that was loaded; empty for a folder."""
    from huggingface_hub import try_to_load_from_cache

    if "://" in config.model or os.path.isdir(config.model):
        return ""
    found = try_to_load_from_cache(config.model, "config.json", revision=config.revision or "main")
    return Path(found).parent.name if isinstance(found, str) else ""


def too_long(config: TeacherConfig, longest: int, why: str) -> ConfigError:
    """What to say of a model that cannot be asked questions of so many tokens."""
    return ConfigError(
        f"judge.teacher.model {config.model!r} with {longest} tokens a question "
        f"(max_document_tokens, max_label_tokens, thinking_tokens): {why}"
    )


def check_reach(config: TeacherConfig, longest: int, reach: int | None) -> None:
    """Refuse questions of up to `longest` tokens to a model that was made for `reach`; None: any.
    Raises ConfigError."""
    if reach is not None and longest > reach:
        less = longest - reach
        mend = f"lower judge.teacher.max_document_tokens by {less}"
        if less >= config.max_document_tokens:
            mend = "no document fits: lower max_label_tokens or thinking_tokens"
        raise too_long(config, longest, f"it was made for {reach}: {mend}")


def sentence(error: Exception) -> str:
    """An error's text as one line."""
    return " ".join(str(error).split())[:400]
