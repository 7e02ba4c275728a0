"""Which engine runs a judge's model on this machine, told without loading one."""

from __future__ import annotations

import importlib.util
import math
import os

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io import storage

SMALL_BYTES = 2 << 30  # of weights: up to a billion parameters; of larger ones nothing was measured


def has_vllm() -> bool:
    """Whether vLLM is installed."""
    return importlib.util.find_spec("vllm") is not None


def packs(config: TeacherConfig) -> bool:
    """Whether the packed engine runs a model of kind vllm here.

    A judge that is to think needs vLLM. On a GPU, and for large models, vLLM is taken if it is
    installed.
    """
    if config.engine != "auto":
        return config.engine == "packed"
    if config.thinking_tokens or config.tensor_parallel_size > 1:
        return False
    return not has_vllm() or (not _has_gpu() and weight_bytes(config.model) <= SMALL_BYTES)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def weight_bytes(model: str) -> float:
    """The size of a model's weights; infinite where the hub has them and this machine does not."""
    place = model if "://" in model or os.path.isdir(model) else _from_the_hub(model)
    entries = storage.list_entries(place) if place else []
    sizes = [entry.size for entry in entries if entry.uri.endswith(".safetensors")]
    return sum(sizes) if sizes else math.inf


def _from_the_hub(model: str) -> str:
    """The folder of a hub model that is on this machine; empty for others."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return os.path.dirname(found) if isinstance(found, str) else ""
