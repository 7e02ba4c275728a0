"""The loop: a run is a flat list of steps, each skipped when it is already published.

No data work happens here; a step names its inputs (fragments of published steps) and the worker
that maps them. See `layout` for what identifies a step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lmtx_ray.evaluation.opinion import Accepted, Opinion, accepted_of, to_ship
from lmtx_ray.io.accounts import Account
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.stage import Stage
from lmtx_ray.loop.combining import combine_steps, memory_steps
from lmtx_ray.loop.held_aside import held_aside_ids, held_aside_verdicts, verdict_steps
from lmtx_ray.loop.icxml import icxml_steps
from lmtx_ray.loop.judging import (
    chance_step,
    first_question,
    fragments,
    judge_step,
    judge_test_step,
    select_learned_step,
    select_step,
)
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.prepare import prepare, warn_of_unknown
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.loop.search_way import shards_to_chain
from lmtx_ray.loop.steps import Cycle, Rankings, State
from lmtx_ray.loop.text_cycle import text_examples_step
from lmtx_ray.stages.embed import Embed
from lmtx_ray.stages.examples import BuildExamples
from lmtx_ray.stages.files import build_files
from lmtx_ray.stages.fit import fit
from lmtx_ray.stages.index import build_index, build_lexical
from lmtx_ray.stages.shortlist import DenseShortlist, Fuse, LexicalShortlist
from lmtx_ray.stages.shortlist_chain import rank_by_chain
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.student.pseudo_labels import relative

logger = logging.getLogger(__name__)
RANKED = ("doc_id", "label_ids")


@dataclass
class RunResult:
    """What a run came to: which state won, by whose opinion, and what it took."""

    layout: Layout
    best: int
    ran: int  # cycles that ran
    opinions: dict[int, dict[str, Opinion]]  # state -> ranking name -> judged P@1
    account: Account  # where its seconds are written down, with those of other starts
    accepted: dict[int, dict[str, Accepted]] = field(default_factory=dict)  # what it comes from
    seconds: dict[str, float] = field(default_factory=dict)  # of this start


def run_cycles(config: RunConfig, layout: Layout, stop: str | None = None) -> RunResult:
    """Run (or resume) all cycles of a laid-out config, or up to `stop` (see `until`). `ray.init` is
    the caller's business."""
    account = Account(RunLayout(config.run).accounts)
    result = RunResult(layout, best=0, ran=0, opinions={}, account=account)
    for name in _steps(config, layout, result):
        if name == stop:
            break
    return result


def _steps(config: RunConfig, layout: Layout, result: RunResult) -> Iterator[str]:
    """Does one step after the other, and yields its name when it is done."""
    with timed(result, "prepare"):
        prepare(config, layout)
    warn_of_unknown(config.evaluation.exclude_keys, layout.labels)
    yield "prepare"
    with timed(result, "first question"):
        first_question(config, layout)
    with timed(result, "lexical"):
        lexical_step(config, layout)
    yield from _state_steps(config, layout, layout.states[0], result)
    if not config.learns_from_judge and layout.test and layout.test.verdicts:
        with timed(result, "judge test"):
            judge_test_step(config, layout)
    for cycle, after in zip(layout.cycles, layout.states[1:], strict=True):
        yield from _cycle_steps(config, layout, cycle, after, result)
        result.ran = cycle.number
        if not cycle.asked:
            result.best = cycle.number  # nobody says which is better
            continue
        judge_states(config, layout, result)
        if cycle.number - result.best >= config.cycles.patience:
            logger.info("no better since cycle %d: stopping", result.best)
            break
    if layout.chance and result.opinions:
        with timed(result, "judge by chance"):
            chance_step(config, layout, layout.chance, verdict_steps(layout, result.ran))
    if layout.test and layout.test.icxml:
        with timed(result, "icxml"):
            icxml_steps(config, layout, layout.test.icxml)


def _cycle_steps(
    config: RunConfig, layout: Layout, cycle: Cycle, after: State, result: RunResult
) -> Iterator[str]:
    """One round, from the rankings of the state before to those after it."""
    number, before = cycle.number, layout.states[cycle.number - 1]
    earlier = verdict_steps(layout, number - 1)
    if cycle.asked:
        with timed(result, f"judge {number}"):
            judge_step(config, layout, cycle, before, earlier)
        yield f"judge {number}"
    with timed(result, f"fit {number}"):
        if cycle.asked:
            examples_step(config, layout, cycle, [*earlier, cycle.verdicts])
        else:
            text_examples_step(config, layout, cycle)
        fit_step(config, layout, cycle)
    yield f"train {number}"
    yield from _state_steps(config, layout, after, result)
    if cycle.asked:
        said, learned = [*earlier, cycle.verdicts], after.learned
        with timed(result, f"select {number}"):
            if learned:
                memory_steps(config, layout, after, learned, said)
            select_step(config, layout, cycle, after, said)
        if learned:
            with timed(result, f"select learned {number}"):
                combine_steps(config, layout, after, learned, number)
                said = [*said, cycle.selection]
                select_learned_step(config, layout, cycle, learned, said)
        yield f"select {number}"


def judge_states(config: RunConfig, layout: Layout, result: RunResult) -> None:
    """The judge's opinion of every state so far on the held-aside documents; keeps the best."""
    held_aside = held_aside_ids(layout)
    judged = relative(held_aside_verdicts(layout, result.ran, held_aside), config.pseudo_labels)
    k = config.judge.select_k
    for state in layout.states[: result.ran + 1]:
        result.accepted[state.number] = {
            name: accepted_of(step.where("doc_id", held_aside, RANKED), judged, k)
            for name, step in state.rankings.items()
        }
        result.opinions[state.number] = {
            name: accepted.opinion() for name, accepted in result.accepted[state.number].items()
        }
    shipped = {
        number: opinions[to_ship(opinions, config.ship)]
        for number, opinions in result.opinions.items()
    }
    result.best = max(shipped, key=lambda n: (shipped[n].mean, shipped[n].at_k, -n))
    for number in (0, 1) if result.ran == 1 else (result.ran,):
        for name, opinion in result.opinions[number].items():
            logger.info("after cycle %d, %s, the judge says: %s", number, name, opinion)


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
    """The words of labels, indexed once, and the labels that documents name."""
    pool, index = config.resources.shortlist, layout.lexical_index
    parts = [{"labels": layout.labels.files(), "languages": config.shortlist.languages}]
    build_files(index, build_lexical, parts, pool, "lexical index")
    kwargs = {"index": index.uri, "depth": config.shortlist.depth}
    works = [Work(layout.lexical, fragments(layout.documents), "doc_id")]
    if layout.test:
        works.append(Work(layout.test.lexical, fragments(layout.test.documents), "doc_id"))
    run_units(works, LexicalShortlist, kwargs, pool, "lexical")


def model_of(layout: Layout, state: State) -> str:
    """Folder, URI or hub id of a state's encoder."""
    return state.encoder.folder() if state.encoder else layout.pretrained


def sides(layout: Layout, state: State) -> Iterator[tuple[Dataset, Dataset, Rankings]]:
    """(documents, lexical rankings, what the state makes of them) of the corpus and of the test."""
    yield layout.documents, layout.lexical, state.corpus
    if layout.test and state.test:
        yield layout.test.documents, layout.test.lexical, state.test


def embed_step(config: RunConfig, layout: Layout, state: State) -> None:
    """Vectors of labels, documents and test documents, by the encoder of a state."""
    works = [Work(state.labels, fragments(layout.labels))]
    for documents, _, made in sides(layout, state):
        works.append(Work(made.vectors, fragments(documents)))
    kwargs = {
        "config": config.encoder,
        "model": model_of(layout, state),
        "labels": layout.labels.files(),
    }
    run_units(works, Embed, kwargs, config.resources.embed, f"embed {state.number}")


def index_step(config: RunConfig, state: State) -> None:
    """The index over a state's label vectors."""
    pool, repeats = config.resources.shortlist, config.encoder.label_vectors == "aliases"
    build_index(state.labels, state.index, config.index, pool, f"index {state.number}", repeats)


def shortlist_steps(config: RunConfig, layout: Layout, state: State) -> None:
    """Dense rankings of a state and, with the lexical ones, hybrid rankings."""
    pool, number = config.resources.shortlist, state.number
    made = list(sides(layout, state))
    works = [Work(side.dense, fragments(side.vectors), "doc_id") for _, _, side in made]
    dense_step(config, state, works, f"dense {number}")
    works = [
        Work(side.hybrid, fragments(side.dense, lexical), "doc_id") for _, lexical, side in made
    ]
    run_units(works, Fuse, {"config": config.shortlist}, pool, f"hybrid {number}")


def dense_step(config: RunConfig, state: State, works: Sequence[Work], name: str) -> None:
    """Dense rankings of vectors: by the whole index in each worker, or through a chain."""
    index, depth, units = state.index.uri, config.shortlist.depth, works[0].units
    done = all(work.output.is_complete() for work in works)
    if not done and (shards := shards_to_chain(config.index.search, index, units)):
        rank_by_chain(works, state.labels, index, shards, depth, name)
    else:
        kwargs = {"index": index, "depth": depth}
        run_units(works, DenseShortlist, kwargs, config.resources.shortlist, name)


def examples_step(
    config: RunConfig, layout: Layout, cycle: Cycle, verdicts: Sequence[Dataset]
) -> None:
    """A cycle's training examples, of all `verdicts` so far."""
    works = [Work(cycle.examples, fragments(layout.documents, *verdicts), "doc_id")]
    kwargs = {"config": config.pseudo_labels, "seed": config.fit.seed}
    run_units(works, BuildExamples, kwargs, config.resources.shortlist, "examples")


def fit_step(config: RunConfig, layout: Layout, cycle: Cycle) -> None:
    """Train a cycle's encoder on its examples."""
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
        work_uri=RunLayout(config.run).work(f"fit-{cycle.encoder.fingerprint}"),
        resources=config.resources.fit,
        encoder=config.encoder,
    )


@contextmanager
def timed(result: RunResult, name: str) -> Iterator[None]:
    """Adds the wall-clock seconds of a step to the result; those of one that failed are kept too,
    as they were spent."""
    started = time.monotonic()
    try:
        with Stage(name):
            yield
    finally:
        seconds = time.monotonic() - started
        result.seconds[name] = round(seconds, 1)
        result.account.keep(name, {"wall_seconds": round(seconds, 3)})
    logger.info("%s took %.1f s", name, seconds)
