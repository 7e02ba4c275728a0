"""The steps that ask the judge: of a cycle, of selection, and the first question of all."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lmtx_ray.io.accounts import read_accounts
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.units import Unit
from lmtx_ray.loop.judge_rate import keep_rate
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.loop.steps import Cycle, Learned, State
from lmtx_ray.stages.budget import shared_budget
from lmtx_ray.stages.first_question import ask_first
from lmtx_ray.stages.judge import Asking, AskTeacher
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.teacher.identity import describe, teacher_identity
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import UNITS_AT_ONCE
from lmtx_ray.teacher.questions import chance_asks, judge_asks, learned_asks, select_asks
from lmtx_ray.verdicts.layers import merge_if_due

logger = logging.getLogger(__name__)


def fragments(*steps: Dataset) -> list[Unit]:
    """The units that published steps share, each with its file of every step."""
    files = [step.unit_files() for step in steps]
    return [Unit.of(unit, *(own[unit] for own in files)) for unit in files[0]]


def judge_step(
    config: RunConfig, layout: Layout, cycle: Cycle, before: State, earlier: Sequence[Dataset]
) -> None:
    """Ask about the candidates of the state before a cycle, and the first time about what
    evaluation compares with."""
    first = cycle.number == 1
    rankings = before.candidates
    works = [Work(cycle.verdicts, fragments(layout.documents, *rankings.values(), *earlier))]
    sources = {"train": cycle.verdicts, "held_aside": cycle.verdicts}
    if first and layout.test and layout.test.verdicts:
        works.append(_test_work(layout))
        sources["test"] = layout.test.verdicts
    plan = judge_asks(config.judge, first, "votes" in rankings)
    name = f"judge {cycle.number}"
    ask(config, layout, works, sources, plan, cycle.number, name, tuple(rankings))


def _test_work(layout: Layout) -> Work:
    """The candidates of the test documents to re-rank, of the untouched state."""
    test, before = layout.tested, layout.states[0].tested
    assert test.verdicts is not None
    return Work(test.verdicts, fragments(test.documents, before.dense, before.hybrid))


def judge_test_step(config: RunConfig, layout: Layout) -> None:
    """Ask about the test documents alone, in a run whose cycles ask nobody."""
    work = _test_work(layout)
    plan = {"test": judge_asks(config.judge, first=True)["test"]}
    ask(config, layout, [work], {"test": work.output}, plan, 1, "judge test")


def select_step(
    config: RunConfig, layout: Layout, cycle: Cycle, after: State, earlier: Sequence[Dataset]
) -> None:
    """Ask about the first labels that the state after a cycle gives the held-aside documents."""
    rankings = after.candidates
    work = Work(cycle.selection, fragments(layout.documents, *rankings.values(), *earlier))
    sources = {"held_aside": cycle.selection}
    plan = select_asks(config.judge, "votes" in rankings)
    name = f"select {cycle.number}"
    ask(config, layout, [work], sources, plan, cycle.number, name, tuple(rankings))


def select_learned_step(
    config: RunConfig, layout: Layout, cycle: Cycle, learned: Learned, earlier: Sequence[Dataset]
) -> None:
    """Ask about the first labels of all sides weighed, as far as nobody was asked before."""
    assert cycle.asked is not None
    output, ranked = cycle.asked[2], learned.corpus.ranked
    work = Work(output, fragments(layout.documents, ranked, *earlier))
    plan, name = learned_asks(config.judge), f"select learned {cycle.number}"
    ask(config, layout, [work], {"held_aside": output}, plan, cycle.number, name, ("learned",))


def chance_step(
    config: RunConfig, layout: Layout, output: Dataset, earlier: Sequence[Dataset]
) -> None:
    """Ask about labels that no search finds on the held-aside documents, and those that their words
    find first: what probabilities are made from, and nothing that is ranked."""
    found = {"dense": layout.states[0].corpus.dense, "lexical": layout.lexical}
    work = Work(output, fragments(layout.documents, *found.values(), *earlier))
    plan, name = chance_asks(config.judge), "judge by chance"
    ask(config, layout, [work], {"held_aside": output}, plan, 1, name, tuple(found))


def ask(
    config: RunConfig,
    layout: Layout,
    works: Sequence[Work],
    sources: Mapping[str, Dataset],
    plan: Mapping[str, Sequence[tuple[str, int]]],
    cycle: int,
    name: str,
    rankings: tuple[str, ...] = ("dense", "hybrid"),
) -> None:
    """Run steps that ask, with the run's budget and what the store holds now; what the judge uses
    is written down under `name`. `rankings` names those among the fragments of `works`."""
    if all(work.output.is_complete() for work in works):
        logger.info("judge: complete")
        return
    run = RunLayout(config.run)
    with shared_budget(config.judge.budget, run.spent) as budget:
        marks = {split: mark_of(config, step) for split, step in sources.items()}
        asking = asking_of(config, layout, plan, marks, cycle, budget)
        asking = replace(asking, costs=run.accounts, step=name, rankings=rankings)
        before, begun = _asked(config, name), time.monotonic()
        _run(config, layout, works, asking)
        keep_rate(config, layout, _asked(config, name) - before, time.monotonic() - begun)


def _run(config: RunConfig, layout: Layout, works: Sequence[Work], asking: Asking) -> None:
    run_units(
        works,
        AskTeacher,
        {"asking": asking, "labels": layout.labels.files()},
        config.resources.judge,
        "judge",
        calls=UNITS_AT_ONCE,
        price=config.judge.price.model_dump(),
        # another run that asks about the same texts begins elsewhere, see `look_again`
        order=partial(fingerprint, config.run),
    )


def _asked(config: RunConfig, name: str) -> float:
    """Pairs that all starts of a step have asked by now."""
    spent = read_accounts(RunLayout(config.run).accounts)
    return spent.get(name, {}).get("requests", 0)


def mark_of(config: RunConfig, step: Dataset) -> str:
    """What the questions of a step are marked with in the store."""
    return fingerprint(config.run, step.fingerprint)


def asking_of(
    config: RunConfig,
    layout: Layout,
    plan: Mapping[str, Sequence[tuple[str, int]]],
    marks: Mapping[str, str],
    cycle: int,
    budget: Any = None,
) -> Asking:
    """How a step of this run asks; merges the store's parts first if there are many.

    A judge is checked on its first candidates: what a trained student adds to them may all be
    accepted, or all be refused, by a good one too.
    """
    store = config.verdict_store
    prompt, teacher = layout.judge
    partition = store.partition(teacher, prompt)
    merge_if_due(partition)
    for one in config.judge.teacher.members:
        own, member = teacher_identity(one, get_prompt(one.prompt))
        merge_if_due(store.partition(member, own))
    return Asking(
        teacher=config.judge.teacher,
        prompt=layout.prompt,
        identity=layout.judge,
        store=store.uri,
        known=partition.snapshot(),
        human=store.human().snapshot(),
        rankings=("dense", "hybrid"),
        plan=plan,
        sources=marks,
        cycle=cycle,
        check=config.judge.check and cycle == 1 and "train" in plan,
        by_order=config.pseudo_labels.accept_deviations is not None,
        deterministic=config.judge.deterministic,
        budget=budget,
        about=describe(config.judge.teacher, layout.prompt),
        calibration=config.judge.calibration,
        temperature=config.judge.temperature,
    )


def _asked_of_test(layout: Layout) -> Dataset | None:
    return layout.test.verdicts if layout.test else None


def first_question(config: RunConfig, layout: Layout) -> None:
    """One question before anything long: a wrong key, model or template shows now and not after
    hours of embedding. An engine on this cluster is started for it only if its answer is not in the
    store; a service is asked each time.

    Raises:
        Interrupted: The judge refused, or was not there.
    """
    if not config.judge.check or config.judge.teacher.kind in {"lexical", "none"}:
        return
    asks = layout.cycles[0].verdicts if config.learns_from_judge else _asked_of_test(layout)
    if asks is None or asks.is_complete():
        return
    with shared_budget(config.judge.budget, RunLayout(config.run).spent) as budget:
        asking = asking_of(config, layout, {}, {}, 0, budget)
        ask_first(asking, config.resources.judge)
