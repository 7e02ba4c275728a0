"""A GPU's peak, how busy it is, and shapes of real models whose weights need not be there."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

EVERY_SECONDS = 0.02
PEAKS = {"H100": (989e12, 1979e12), "H200": (989e12, 1979e12)}  # dense FLOP/s: bfloat16, float8
SHAPES = {
    "qwen3-0.6b": {
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "intermediate_size": 3072,
        "tie_word_embeddings": True,
    },
    "qwen3-8b": {
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "intermediate_size": 12288,
        "tie_word_embeddings": False,
    },
}
COMMON = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 128,
    "num_key_value_heads": 8,
    "vocab_size": 151936,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"},
    "attention_bias": False,
    "max_position_embeddings": 4096,
    "dtype": "bfloat16",
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def save_shape(folder: Path, shape: str, tokenizer: Path) -> str:
    """A model folder of a real model's shape without weights, with another model's tokenizer."""
    folder.mkdir(parents=True)
    config: dict[str, Any] = {**COMMON, **SHAPES[shape]}
    (folder / "config.json").write_text(json.dumps(config))
    for name in TOKENIZER_FILES:
        with suppress(FileNotFoundError):
            shutil.copy(tokenizer / name, folder)
    return str(folder)


def parameters(config: dict[str, Any]) -> tuple[int, int]:
    """Of a model with gated layers, by its config: those that every token goes through, and those
    of the output, which only a prompt's last token does."""
    hidden, head = config["hidden_size"], config["head_dim"]
    queries = config["num_attention_heads"] * head
    keys = config["num_key_value_heads"] * head
    layer = 2 * hidden * (queries + keys) + 3 * hidden * config["intermediate_size"]
    return config["num_hidden_layers"] * layer, hidden * config["vocab_size"]


def peak(float8: bool) -> float | None:
    """FLOP/s that the card can do at most; None where there is none, or one not known here."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peaks[float8] for part, peaks in PEAKS.items() if part in name), None)


class Watch:
    """The share of the time in which the GPU ran anything, while the context lasts; `busy` is None
    where that cannot be seen."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def busy(self) -> float | None:
        """Between 0 and 1."""
        return sum(self._seen) / len(self._seen) / 100 if self._seen else None

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:  # no such package, driver or card
            return
        while not self._ended.wait(EVERY_SECONDS):
            self._seen.append(pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
