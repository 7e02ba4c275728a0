"""Which commit of a hub model is meant, and which one was loaded."""

from __future__ import annotations

import os
from pathlib import Path

from lmtx_ray.config.judge import TeacherConfig


def is_folder(config: TeacherConfig) -> bool:
    """Whether the model lies in a folder, where `revision` is only a mark."""
    return "://" in config.model or os.path.isdir(config.model)


def hub_revision(config: TeacherConfig) -> str | None:
    """The commit or branch to take from the hub; None for a folder."""
    return None if is_folder(config) else config.revision or None


def commit_of(config: TeacherConfig) -> str:
    """The commit of a hub model that was loaded; empty for a folder."""
    from huggingface_hub import try_to_load_from_cache

    if is_folder(config):
        return ""
    found = try_to_load_from_cache(config.model, "config.json", revision=config.revision or "main")
    return Path(found).parent.name if isinstance(found, str) else ""
