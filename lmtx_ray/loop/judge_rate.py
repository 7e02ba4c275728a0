"""How fast a judge was or is: pairs a second of all its actors together. Of an ensemble a pair
counts once for each member.

Kept on this machine whenever a run has asked enough, by everything that makes a judge faster or
slower; or told by this run's own account; or measured now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from lmtx_ray.io import remembered
from lmtx_ray.io.accounts import read_accounts
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.loop.corpus_sample import Sample
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout

ENOUGH_PAIRS = 200  # below this a start weighs too much
KIND = "judge-rates"
WARM_DOCUMENTS, MEASURED_DOCUMENTS = 4, 32


@dataclass(frozen=True)
class Rate:
    """`told_by` says where it comes from."""

    pairs_a_second: float
    told_by: str


def _name(config: RunConfig, layout: Layout) -> str:
    return fingerprint("rate", config.judge.teacher, config.resources.judge, layout.judge)


def keep_rate(config: RunConfig, layout: Layout, pairs: float, seconds: float) -> None:
    """Remember on this machine what a step of a run took, if it asked enough pairs to tell."""
    if pairs >= ENOUGH_PAIRS and seconds > 0:
        remembered.keep(KIND, _name(config, layout), {"pairs": pairs, "seconds": seconds})


def known_rate(config: RunConfig, layout: Layout) -> Rate | None:
    """Of this run so far, else of an earlier run of this judge started on this machine; None where
    neither asked enough."""
    spent = read_accounts(RunLayout(config.run).accounts)
    if rate := _of_steps(spent):
        return Rate(rate, "of this run so far")
    kept = remembered.recall(KIND, _name(config, layout))
    if kept is None:
        return None
    return Rate(kept["pairs"] / kept["seconds"], "of an earlier run of this judge here")


def _of_steps(spent: Mapping[str, Mapping[str, float]]) -> float | None:
    """Over the steps that asked and whose time is known."""
    asked = [one for one in spent.values() if one.get("requests") and one.get("wall_seconds")]
    pairs = sum(one["requests"] for one in asked)
    seconds = sum(one["wall_seconds"] for one in asked)
    return pairs / seconds if pairs >= ENOUGH_PAIRS else None


def measured_rate(config: RunConfig, layout: Layout, sample: Sample) -> Rate:
    """Of questions about the sample, asked now in this process; nothing is kept of the answers. One
    actor is measured, so that several are taken to be as many times as fast.

    Raises:
        ConfigError, Interrupted: The judge cannot be started, or does not answer.
    """
    from lmtx_ray.teacher.registry import build_teacher

    judge = config.judge
    teacher = build_teacher(judge.teacher, layout.prompt, None, judge.deterministic)
    teacher.judge(sample.questions(0, WARM_DOCUMENTS))
    questions = sample.questions(WARM_DOCUMENTS, WARM_DOCUMENTS + MEASURED_DOCUMENTS)
    questions = questions if questions.num_rows else sample.questions(0, WARM_DOCUMENTS)
    started = time.perf_counter()
    pairs = teacher.judge(questions).num_rows * len(judge.teacher.judges)
    actors = config.resources.judge.actors or 1
    most = actors if isinstance(actors, int) else actors[-1]
    each = pairs / (time.perf_counter() - started)
    where = f"measured now on {pairs} pairs, {usable_cores()} cores"
    return Rate(each * most, where + (f", times {most} actors" if most > 1 else ""))
