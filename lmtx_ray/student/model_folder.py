"""Where a model's files are, found before anything is loaded."""

from __future__ import annotations

from typing import Any

from lmtx_ray.config.models import check_model, check_places, resolve_model
from lmtx_ray.io.node_cache import node_copy


def model_folder(model: str) -> str:
    """A model's folder on this machine, or a hub's id as it is.

    Raises:
        ConfigError: What looks like a folder holds no whole model.
    """
    place = resolve_model(model)
    check_model("encoder.model", place)
    return node_copy(place) if "://" in place else place


def check_lengths(inner: Any, section: str, max_tokens: int, label_tokens: int) -> None:
    """Refuse lengths of documents and labels in a section of the config that `inner`, a transformer
    as loaded (or None), cannot read. Raises ConfigError naming the setting."""
    config: Any = getattr(inner, "config", None)
    settings = config.to_dict() if hasattr(config, "to_dict") else getattr(config, "__dict__", {})
    lengths = {f"{section}.max_tokens": max_tokens, f"{section}.label_tokens": label_tokens}
    check_places(settings, lengths)
