"""How long the trainings of a run are, and what about them is odd, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmtx_ray.config.components import FitConfig
from lmtx_ray.corpus.counting import Counts
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.student import sizes

MANY_PASSES = 50  # more than that over the same examples teaches little


def training(config: RunConfig, counts: Counts) -> dict[str, Any]:
    """Steps of each cycle at most, those of them inside the warm-up, and `warnings` in words.

    Examples are counted as if every document gave some; of segments they are guessed from the mean
    length of the first documents.
    """
    fit, documents = config.fit, counts.documents - counts.held_aside
    cycles = [
        _cycle(config.source, number, fit, documents, counts.words)
        for number in range(1, config.rounds + 1)
    ]
    warnings = [warning for cycle in cycles for warning in _warnings(cycle, fit)]
    return {
        "source": config.source,
        "recipe": fit.recipe,
        "asks_nobody": config.rounds > 0 and not config.learns_from_judge,
        "cycles": cycles,
        "warnings": list(dict.fromkeys(warnings)),
    }


def _cycle(
    source: str, number: int, fit: FitConfig, documents: int, words: float
) -> dict[str, int]:
    examples = documents
    if source == "segment":
        examples *= sizes.pairs_per_document(round(words), True, *fit.segment_words)
    one_pass = sizes.steps_per_pass(examples, fit.batch_size, fit.drop_last)
    steps = sizes.total_steps(one_pass, fit)
    return {
        "cycle": number,
        "examples_at_most": examples,
        "steps_at_most": steps,
        "examples_per_step": fit.batch_size,
        "warmup_steps": sizes.warming_up(fit, steps),
    }


def _warnings(cycle: Mapping[str, int], fit: FitConfig) -> list[str]:
    steps, examples = cycle["steps_at_most"], cycle["examples_at_most"]
    found = []
    if fit.warmup >= 1 and cycle["warmup_steps"] >= steps:
        found.append(
            f"all {steps:,} steps of a cycle lie inside its warm-up of {fit.warmup:g}: it ends "
            "before it learns; set fit.warmup to a share such as 0.1, more fit.passes, or a "
            "smaller fit.batch_size"
        )
    passes = steps * fit.batch_size / max(examples, 1)
    if fit.steps and passes > MANY_PASSES:
        found.append(
            f"fit.steps {fit.steps:,} are {passes:,.0f} passes over {examples:,} examples; "
            f"{max(3 * examples // fit.batch_size, 1):,} are about three"
        )
    return found


def training_told(plan: Mapping[str, Any]) -> str:
    """Lines for a terminal; none for a run that trains nothing."""
    if not plan["cycles"]:
        return ""
    steps = ", ".join(f"{cycle['steps_at_most']:,}" for cycle in plan["cycles"])
    batch = plan["cycles"][0]["examples_per_step"]
    warmup = plan["cycles"][0]["warmup_steps"]
    line = (
        f"training from source {plan['source']}, recipe {plan['recipe']}: at most {steps} steps a "
        f"cycle, of {batch} examples; the first {warmup:,} warm up\n"
    )
    return line + "".join(f"  warning: {warning}\n" for warning in plan["warnings"])
