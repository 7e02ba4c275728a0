"""The loop: a run is a flat list of steps, each skipped when it is already published.

No data work happens here; a step names its inputs (fragments of published steps) and the worker
that maps them. See `layout` for what identifies a step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lmtx_ray import storage
from lmtx_ray.asks import Plan, judge_asks, select_asks
from lmtx_ray.index import LabelIndex
from lmtx_ray.layout import Cycle, Layout, State
from lmtx_ray.prepare import prepare
from lmtx_ray.publish import StepOutput
from lmtx_ray.selection import Opinion, judged_precision, to_ship
from lmtx_ray.settings import RunConfig
from lmtx_ray.stages.embed import Embed
from lmtx_ray.stages.examples import BuildExamples
from lmtx_ray.stages.fit import fit
from lmtx_ray.stages.judge import AskTeacher
from lmtx_ray.stages.shortlist import DenseShortlist, Fuse, LexicalShortlist, matrix
from lmtx_ray.stages.units import run_units

logger = logging.getLogger(__name__)


@dataclass
class RunResult:
    """What a run came to: which state won, by whose opinion, and what it took."""

    layout: Layout
    best: int
    ran: int  # cycles that ran
    opinions: dict[int, dict[str, Opinion]]  # state -> ranking name -> judged P@1
    seconds: dict[str, float] = field(default_factory=dict)


def run_cycles(config: RunConfig, layout: Layout, stop: str | None = None) -> RunResult:
    """Run (or resume) all cycles of a laid-out config, or up to `stop` (see `until`). `ray.init` is
    the caller's business."""
    result = RunResult(layout, best=0, ran=0, opinions={})
    for name in _steps(config, layout, result):
        if name == stop:
            break
    return result


def _steps(config: RunConfig, layout: Layout, result: RunResult) -> Iterator[str]:
    """Does one step after the other, and yields its name when it is done."""
    with timed(result, "prepare"):
        prepare(config, layout)
    yield "prepare"
    with timed(result, "lexical"):
        lexical_step(config, layout)
    yield from _state_steps(config, layout, layout.states[0], result)
    for cycle, after in zip(layout.cycles, layout.states[1:], strict=True):
        yield from _cycle_steps(config, layout, cycle, after, result)
        result.ran = cycle.number
        judge_states(config, layout, result)
        if cycle.number - result.best >= config.cycles.patience:
            logger.info("no better since cycle %d: stopping", result.best)
            break


def _cycle_steps(
    config: RunConfig, layout: Layout, cycle: Cycle, after: State, result: RunResult
) -> Iterator[str]:
    """One teacher-student round, from the rankings of the state before to those after it."""
    number, before = cycle.number, layout.states[cycle.number - 1]
    earlier = verdict_steps(layout, number - 1)
    with timed(result, f"judge {number}"):
        asks = judge_asks(config.judge, first=number == 1)
        ask_step(config, layout, before, cycle.verdicts, asks, earlier, number)
    yield f"judge {number}"
    with timed(result, f"fit {number}"):
        examples_step(config, layout, cycle, [*earlier, cycle.verdicts])
        fit_step(config, layout, cycle)
    yield f"train {number}"
    yield from _state_steps(config, layout, after, result)
    with timed(result, f"select {number}"):
        asked = [*earlier, cycle.verdicts]
        asks = select_asks(config.judge)
        ask_step(config, layout, after, cycle.selection, asks, asked, number)
    yield f"select {number}"


def judge_states(config: RunConfig, layout: Layout, result: RunResult) -> None:
    """The judge's opinion of every state so far on the held-aside documents; keeps the best."""
    verdicts = [step.read() for step in verdict_steps(layout, result.ran)]
    judged = pa.concat_tables(verdicts)
    held_aside = held_aside_ids(layout)
    k, seed = config.judge.select_k, config.evaluation.seed
    for state in layout.states[: result.ran + 1]:
        result.opinions[state.number] = {
            name: judged_precision(step.read(), judged, held_aside, k, seed)
            for name, step in (("dense", state.dense), ("hybrid", state.hybrid))
        }
    shipped = {
        number: opinions[to_ship(opinions, config.ship)]
        for number, opinions in result.opinions.items()
    }
    result.best = max(shipped, key=lambda n: (shipped[n].mean, shipped[n].at_k, -n))
    for number in (0, 1) if result.ran == 1 else (result.ran,):
        for name, opinion in result.opinions[number].items():
            logger.info("after cycle %d, %s, the judge says: %s", number, name, opinion)


def held_aside_ids(layout: Layout) -> set[str]:
    """Ids of the documents that only selection may look at."""
    documents = layout.documents.read().select(["doc_id", "split"]).to_pylist()
    return {row["doc_id"] for row in documents if row["split"] == "held_aside"}


def verdict_steps(layout: Layout, cycles: int) -> list[StepOutput]:
    """The verdict store after so many cycles: every step that ever asked, oldest first."""
    return [step for cycle in layout.cycles[:cycles] for step in (cycle.verdicts, cycle.selection)]


def fragments(*steps: StepOutput) -> dict[str, list[str]]:
    """Unit name -> the steps' fragments of that unit; the steps must share their units."""
    units = [step.unit_files() for step in steps]
    return {unit: [files[unit] for files in units] for unit in units[0]}


def _state_steps(
    config: RunConfig, layout: Layout, state: State, result: RunResult
) -> Iterator[str]:
    """Vectors, index and rankings of one encoder."""
    with timed(result, f"embed {state.number}"):
        embed_step(config, layout, state)
    yield f"embed {state.number}"
    with timed(result, f"shortlist {state.number}"):
        index_step(config, state)
        shortlist_steps(config, layout, state)
    yield f"shortlist {state.number}"


def lexical_step(config: RunConfig, layout: Layout) -> None:
    kwargs = {"labels": layout.labels.files(), "depth": config.shortlist.depth}
    pool = config.resources.shortlist
    units = fragments(layout.documents)
    run_units(layout.lexical, units, LexicalShortlist, kwargs, pool, "doc_id", "lexical")


def model_of(layout: Layout, state: State) -> str:
    """Folder, URI or hub id of a state's encoder."""
    return state.encoder.uri if state.encoder else layout.pretrained


def embed_step(config: RunConfig, layout: Layout, state: State) -> None:
    units = {f"labels-{unit}": files for unit, files in fragments(layout.labels).items()}
    units |= {f"documents-{unit}": files for unit, files in fragments(layout.documents).items()}
    kwargs = {"config": config.encoder, "model": model_of(layout, state)}
    name = f"embed {state.number}"
    run_units(state.vectors, units, Embed, kwargs, config.resources.embed, None, name)


def vector_files(state: State, kind: str) -> dict[str, list[str]]:
    """Unit -> its vectors, of `kind` labels or documents, named like the corpus units."""
    files = state.vectors.unit_files()
    return {
        unit.removeprefix(f"{kind}-"): [file]
        for unit, file in files.items()
        if unit.startswith(f"{kind}-")
    }


def index_step(config: RunConfig, state: State) -> None:
    if state.index.is_complete():
        return
    parts = [matrix(storage.read_table(file)) for (file,) in vector_files(state, "labels").values()]
    index = LabelIndex.build(np.concatenate(parts), config.index.shards)
    state.index.publish_folder(index.save)


def shortlist_steps(config: RunConfig, layout: Layout, state: State) -> None:
    pool, number = config.resources.shortlist, state.number
    kwargs: Mapping[str, object] = {"index": state.index.uri, "depth": config.shortlist.depth}
    units = vector_files(state, "documents")
    run_units(state.dense, units, DenseShortlist, dict(kwargs), pool, "doc_id", f"dense {number}")
    units = fragments(state.dense, layout.lexical)
    kwargs = {"config": config.shortlist}
    run_units(state.hybrid, units, Fuse, dict(kwargs), pool, "doc_id", f"hybrid {number}")


def ask_step(
    config: RunConfig,
    layout: Layout,
    state: State,
    output: StepOutput,
    plan: Plan,
    earlier: Sequence[StepOutput],
    cycle: int,
) -> None:
    units = fragments(layout.documents, state.dense, state.hybrid, *earlier)
    kwargs = {
        "teacher": config.judge.teacher,
        "labels": layout.labels.files(),
        "rankings": ["dense", "hybrid"],
        "plan": plan,
        "cycle": cycle,
    }
    run_units(output, units, AskTeacher, kwargs, config.resources.judge, None, "judge")


def examples_step(
    config: RunConfig, layout: Layout, cycle: Cycle, verdicts: Sequence[StepOutput]
) -> None:
    units = fragments(layout.documents, *verdicts)
    kwargs = {"config": config.pseudo_labels, "seed": config.fit.seed}
    pool = config.resources.shortlist
    run_units(cycle.examples, units, BuildExamples, kwargs, pool, "doc_id", "examples")


def fit_step(config: RunConfig, layout: Layout, cycle: Cycle) -> None:
    if cycle.encoder.is_complete():
        logger.info("fit %d: complete", cycle.number)
        return
    start = layout.states[cycle.number - 1 if config.fit.init == "previous" else 0]
    fit(
        layout.documents,
        layout.labels,
        cycle.examples,
        initial_model=model_of(layout, start),
        config=config.fit,
        output=cycle.encoder,
        work_uri=storage.join(config.run, "work", f"fit-{cycle.encoder.fingerprint}"),
        resources=config.resources.fit,
    )


@contextmanager
def timed(result: RunResult, name: str) -> Iterator[None]:
    """Adds the wall-clock seconds of a step to the result."""
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    result.seconds[name] = round(seconds, 1)
    logger.info("%s took %.1f s", name, seconds)
