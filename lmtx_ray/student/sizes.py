"""How long a training is, from settings and counts alone: for the training itself and for plans."""

from __future__ import annotations

from lmtx_ray.config.components import FitConfig


def total_steps(steps_per_pass: int, config: FitConfig) -> int:
    """Steps of a whole training: `steps` of the settings, or those of its passes."""
    return config.steps or steps_per_pass * config.passes


def steps_per_pass(examples: int, batch_size: int, drop_last: bool) -> int:
    """Batches of one pass over so many examples, at least one."""
    full, rest = divmod(examples, batch_size)
    return max(full + (1 if rest and not drop_last else 0), 1)


def warming_up(config: FitConfig, total: int) -> int:
    """How many of the steps lie inside the warm-up."""
    steps = config.warmup if config.warmup >= 1 else config.warmup * total
    return min(int(steps), total)


def pairs_per_document(words: int, titled: bool, least: int, most: int) -> int:
    """About how many pairs are made of a document of so many words, in segments of `least` to
    `most`: its title with itself and with each segment, and segments two by two."""
    pieces = -(-words * 2 // (least + most))
    return (1 + pieces if titled else 0) + (pieces + 1) // 2
