"""Where a run may stop on purpose: `lmtx run --until STEP`, and one job for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line reads the names of steps, and starts in milliseconds
    from lmtx_ray.io.publish import Dataset
    from lmtx_ray.loop.layout import Layout

FIRST_CYCLE = {"embed": 0, "shortlist": 0, "judge": 1, "train": 1, "select": 1}
ASK = ("judge", "select")
STEPS = ("prepare", *FIRST_CYCLE, "bundle")


def stop_name(step: str, cycle: int | None, most: int, source: str = "teacher") -> str:
    """The name of a step, with its number for those that each cycle repeats.

    `embed` and `shortlist` count from 0, the untouched encoder; without `cycle` the first is meant.
    There are `most` cycles at most, and `source` is what the config learns from.

    Raises:
        ValueError: The step has no such cycle.
    """
    if step not in FIRST_CYCLE:
        if cycle is not None:
            raise ValueError(f"--cycle: {step} is done once, not in each cycle")
        return step
    if source != "teacher" and step in ASK:
        raise ValueError(f"--until {step}: source: {source} asks no judge")
    number = FIRST_CYCLE[step] if cycle is None else cycle
    first = FIRST_CYCLE[step]
    if most < first:
        raise ValueError(f"--until {step}: there is no judge to learn from (judge.teacher.kind)")
    if not first <= number <= most:
        raise ValueError(f"--cycle {number}: {step} has {first} to {most} (cycles.most)")
    return f"{step} {number}"


def outputs_of(layout: Layout, stop: str) -> dict[str, Dataset]:
    """What must be published for a stop to be reached, by the names of a plan."""
    step, _, number = stop.partition(" ")
    kinds = {
        "prepare": ("documents", "labels", "rejects"),
        "embed": ("label vectors", "vectors"),
        "shortlist": ("lexical", "index", "dense", "hybrid"),
        "judge": ("verdicts",),
        "train": ("examples", "encoder"),
        "select": ("selection",),
        "bundle": ("bundle",),
    }[step]
    steps = dict(layout.steps())
    names = [name if name in steps else f"{name} {number}" for name in kinds]
    return {name: steps[name] for name in names}
