"""The README.md of a trained encoder: what it was made from, how, and under which licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lmtx_ray.config.components import FitConfig
from lmtx_ray.config.label_template import PLAIN
from lmtx_ray.config.models import MINILM_PACKAGE

UNKNOWN = "unknown"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
OF_THE_MACHINE = {"threads", "token_budget", "checkpoint_every", "shuffle_rows"}
TEXT = """---
{head}---
# A text encoder for tags

It gives documents and labels vectors of {dimensions} numbers; the right labels of a document are
those with the nearest vectors (by cosine). Trained by lmtx_ray from `{base}`.

```python
from sentence_transformers import SentenceTransformer

encoder = SentenceTransformer("this folder")
scores = encoder.encode_document(["title. text"]) @ encoder.encode_query(["a label"]).T
```

{pooling} Vectors have length 1. No prompt goes before a text. A text is cut after {tokens} tokens;
in lmtx_ray a label is after {label_tokens}.{put}

## Data
{examples} documents, each with labels that were accepted for it and labels that were refused, out
of {labels} labels. No person said so: what accepted them (the run's judge, or a rule that makes
labels of the texts themselves) errs, and its errors were learnt too.

## Recipe
`{recipe}`, {steps} steps.

| setting | value |
|---|---|
{settings}

## Scores
{scores} Encoders are compared after they were trained: see the evaluation and the report of the
run, or of the bundle that this one is in.

## Licence
That of the model it was trained from: {license}. {source}
"""


@dataclass(frozen=True)
class Base:
    """What is known of the model that a training starts from. `license` is "unknown" where its
    folder does not say."""

    name: str
    license: str


def base_of(model: str, folder: str) -> Base:
    """What the card of `folder` says, where `model`, as it was asked for, was found. An encoder of
    ours names the model that the first of its line began with."""
    here = Path(folder).is_dir()
    head = _head(Path(folder) / "README.md" if here else _fetched(folder))
    package = MINILM_PACKAGE in Path(folder).parts
    named = MINILM if package else Path(model.rstrip("/")).name if here else model
    said = head.get("license")
    if said == "other":
        said = head.get("license_name", said)
    return Base(str(head.get("base_model") or named), str(said or _config_license(folder)))


def _fetched(model: str) -> Path:
    """The card of a hub's model, if it was fetched with its weights."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "README.md")
    return Path(found if isinstance(found, str) else "")


def _head(path: Path) -> Mapping[str, Any]:
    """The settings at the top of a card, none where there is none or it is broken."""
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else {}
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _config_license(folder: str) -> str:
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        return str(config.get("license") or UNKNOWN)
    except (OSError, ValueError, AttributeError):
        return UNKNOWN


def model_card(
    base: Base,
    config: FitConfig,
    tokens: int,
    label_tokens: int,
    label_template: str,
    dimensions: int,
    pooling: str | None,
    counts: Mapping[str, int],
    last: Mapping[str, float],
) -> str:
    """The text of a card. `counts` holds "examples", "labels" and "steps"; `last` what was
    measured on the last batch, "loss" and "precision_at_1". The same training has the same card."""
    head = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "base_model": base.name,
        "license": base.license,
        "tags": ["sentence-transformers", "feature-extraction", "lmtx_ray"],
    }
    values = config.model_dump(mode="json", exclude=OF_THE_MACHINE | {"recipe"})
    return TEXT.format(
        head=yaml.safe_dump(head, sort_keys=False),
        base=base.name,
        license=base.license,
        source="Its card does not say." if base.license == UNKNOWN else "Its card says so.",
        dimensions=dimensions,
        pooling=f"The pooling is `{pooling}`." if pooling else "",
        tokens=tokens,
        label_tokens=label_tokens,
        put=f" What a label is put as: `{label_template}`." if label_template != PLAIN else "",
        recipe=config.recipe,
        settings="\n".join(f"| {name} | {value} |" for name, value in values.items()),
        scores=_scores(last),
        **{name: f"{number:,}" for name, number in counts.items()},
    )


def _scores(last: Mapping[str, float]) -> str:
    if not last:
        return "None were taken in training."
    return (
        f"On the last batch, before it was learnt from: loss {last['loss']:.4f}, and for "
        f"{100 * last['precision_at_1']:.0f} % of its documents the nearest of the batch's labels "
        "was an accepted one. That is no estimate for other documents."
    )
