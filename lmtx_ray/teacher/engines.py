"""Which engine runs a judge's model on this machine, told without loading one."""

from __future__ import annotations

import importlib.util
import math
import os

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import storage

EXTRA = "pip install 'lmtx_ray[cpu]' (with a GPU: [gpu])"
CPU_STEP_TOKENS = 2048
SMALL_BYTES = 2 << 30  # of weights: up to a billion parameters; of larger ones nothing was measured


def has_vllm() -> bool:
    """Whether vLLM is installed."""
    return importlib.util.find_spec("vllm") is not None


def needs_vllm(config: TeacherConfig) -> str:
    """The setting that only vLLM can do; empty where there is none."""
    wanted = {
        "judge.teacher.engine: vllm": config.engine == "vllm",
        "judge.teacher.thinking_tokens": config.thinking_tokens > 0,
        "judge.teacher.tensor_parallel_size": config.tensor_parallel_size > 1,
    }
    return next((name for name, is_wanted in wanted.items() if is_wanted), "")


def refuse_missing(config: TeacherConfig) -> None:
    """Raises ConfigError, naming the setting and the extra, where vLLM is needed and not there."""
    if (setting := needs_vllm(config)) and not has_vllm():
        raise ConfigError(f"{setting} needs vLLM: {EXTRA}")


def packs(config: TeacherConfig) -> bool:
    """Whether the packed engine runs a model of kind vllm here. On a GPU, and for large models,
    vLLM is taken if it is installed."""
    if config.engine == "packed":
        return True
    if needs_vllm(config):
        return False
    return not has_vllm() or (not has_gpu() and weight_bytes(config.model) <= SMALL_BYTES)


def has_gpu() -> bool:
    """Whether torch sees a GPU here."""
    import torch

    return bool(torch.cuda.is_available())


def step_tokens(config: TeacherConfig, longest: int) -> int:
    """Most tokens of a packed step: on a CPU so few that its rows stay in the caches."""
    most = config.max_num_batched_tokens
    return max(most if has_gpu() else min(most, CPU_STEP_TOKENS), longest)


def weight_bytes(model: str) -> float:
    """The size of a model's weights; infinite where the hub has them and this machine does not."""
    place = model if "://" in model else folder_here(model)
    entries = storage.list_entries(place) if place else []
    sizes = [entry.size for entry in entries if entry.uri.endswith(".safetensors")]
    return sum(sizes) if sizes else math.inf


def folder_here(model: str, revision: str = "") -> str:
    """The folder of this machine that holds a model, which may be of the hub; empty where none
    does. Fetches nothing."""
    if "://" in model:
        return ""
    if not model or os.path.isdir(model):
        return model
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision or None)
    return os.path.dirname(found) if isinstance(found, str) else ""
