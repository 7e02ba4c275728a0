"""Everything that a report says, gathered from a finished run: numbers and names, no words yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.io import storage
from lmtx_ray.loop.finished_run import FinishedRun
from lmtx_ray.loop.shipping import final_method
from lmtx_ray.reporting.examples import Example, examples_of, label_texts
from lmtx_ray.reporting.judging import Asked, asked_by_step
from lmtx_ray.reporting.pairs import DEEP, TOP
from lmtx_ray.reporting.rejects import Rejects, rejects_of
from lmtx_ray.reporting.reliability import Reliability, reliability
from lmtx_ray.reporting.resampling import mean
from lmtx_ray.reporting.samples import Sample, held_aside_sample, shipped, test_sample
from lmtx_ray.reporting.slices import Firing, Slice, count, firing, slices
from lmtx_ray.reporting.spending import Costs, costs_of
from lmtx_ray.reporting.thresholds import AtThreshold, at_thresholds, curve

ALONE, FUSED, LEARNED = "encoder alone", "fused with word search", "all sides weighed"
KINDS = {"dense": ALONE, "hybrid": FUSED, "learned": LEARNED}
UNWEIGHED = {"dense": "dense", "hybrid": "hybrid", "learned": "hybrid"}  # before any judgement


@dataclass(frozen=True)
class Progress:
    """How right the first tag is after each cycle, 0 being before training, of each kind of
    ranking; `metric` says what was measured, on so many `documents`."""

    metric: str
    documents: int
    states: tuple[int, ...]
    series: Mapping[str, tuple[Measured, ...]]


@dataclass(frozen=True)
class Facts:
    """Which run it was and what it took in, without a measurement."""

    uri: str
    identity: str
    ended: str
    counts: Mapping[str, int]  # documents, held_aside, labels, test
    state: int
    ranking: str
    ran: int
    most: int
    rejects: Rejects
    record: Mapping[str, Any]
    config: Mapping[str, Any]
    steps: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What the run itself measured and spent. What is measured against gold is None without gold,
    what the judge said None where no judge was asked."""

    methods: Mapping[str, Mapping[str, Any]]
    methods_excluding: Mapping[str, Mapping[str, Any]]  # without `evaluation.exclude_keys`
    metrics: tuple[str, ...]
    by_gold: Progress | None
    by_judge: Progress | None
    gain: Measured | None  # of what ships over the untrained fused ranking, against gold, paired
    judge: Mapping[str, Any]
    asked: tuple[Asked, ...]
    costs: Costs


@dataclass(frozen=True)
class Looked:
    """What a look at some documents told; `samples` are (looked at, there are) documents."""

    judged_by: str  # whose word thresholds, slices and counts go by: "gold", "judge" or ""
    limit: int
    thresholds: tuple[AtThreshold, ...]
    curves: Mapping[int, tuple[tuple[float, float], ...]]
    reliable_gold: Reliability | None
    reliable_judge: Reliability | None
    slices: tuple[Slice, ...]
    firing: Firing | None
    names: Mapping[int, str]
    examples: tuple[Example, ...]
    samples: tuple[int, int]


@dataclass(frozen=True)
class Report(Facts, Outcome, Looked):
    """What a report says."""


def gather(run: FinishedRun) -> Report:
    """Read what a run left, by columns and units; of many documents a sample."""
    asked, accepted_L = asked_by_step(run)
    test, aside = test_sample(run), held_aside_sample(run)
    parts = _facts(run), _outcome(run, asked, test), _looked(run, test, aside, accepted_L)
    return Report(**{name: value for part in parts for name, value in vars(part).items()})


def _facts(run: FinishedRun) -> Facts:
    state, ranking = shipped(run)
    return Facts(
        uri=run.uri,
        identity=run.identity,
        ended=run.ended,
        counts=_counts(run),
        state=state,
        ranking=ranking,
        ran=run.ran,
        most=run.config.cycles.most,
        rejects=rejects_of(run),
        record=run.record,
        config=run.config.model_dump(mode="json"),
        steps={name: step.uri.rsplit("/", 1)[1] for name, step in sorted(run.steps.items())},
    )


def _outcome(run: FinishedRun, asked: Sequence[Asked], test: Sample | None) -> Outcome:
    summary = run.summary
    return Outcome(
        methods=summary.get("methods", {}),
        methods_excluding=summary.get("methods_excluding", {}),
        metrics=_metrics(summary),
        by_gold=_gold_progress(run),
        by_judge=_judge_progress(run),
        gain=_gain(run, test),
        judge=summary["judge"],
        asked=tuple(asked),
        costs=costs_of(summary["seconds"], run.costs, asked, run.config.judge.price),
    )


def _looked(
    run: FinishedRun, test: Sample | None, aside: Sample | None, accepted_L: np.ndarray
) -> Looked:
    """Test documents are looked at where there are any, else those held aside."""
    sample, select_k = test or aside, run.config.judge.select_k
    limit = TOP if test else select_k
    fires, parts = _labels(sample, accepted_L, limit)
    return Looked(
        judged_by="gold" if test else "judge" if aside else "",
        limit=limit,
        thresholds=tuple(at_thresholds(sample.pairs, limit)) if sample else (),
        curves={k: tuple(curve(test.pairs, k)) for k in (TOP, DEEP)} if test else {},
        reliable_gold=reliability(test.pairs, TOP) if test else None,
        reliable_judge=reliability(aside.pairs, select_k) if aside else None,
        slices=tuple(parts),
        firing=fires,
        names=_names(run, fires),
        examples=tuple(examples_of(run, sample, "test " if test else "")) if sample else (),
        samples=(sample.pairs.documents, sample.total) if sample else (0, 0),
    )


def _counts(run: FinishedRun) -> dict[str, int]:
    splits = run.steps["documents"].read(["split"])["split"].value_counts().to_pylist()
    counts = {row["values"]: row["counts"] for row in splits}
    test = run.steps["test documents"].rows() if run.has("test documents") else 0
    return {
        "train": counts.get("train", 0),
        "held_aside": counts.get("held_aside", 0),
        "test": test,
        "labels": run.steps["labels"].rows(),
    }


def _metrics(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns of the table of methods."""
    first: Mapping[str, Any] = next(iter(summary.get("methods", {}).values()), {})
    return tuple(name for name in first if f"{name}_ci" in first)


def _gold_progress(run: FinishedRun) -> Progress | None:
    methods = run.summary.get("methods")
    if not methods:
        return None
    if "P@1" not in methods["hybrid"]:
        raise ConfigError(
            f"{run.uri}: an earlier version evaluated it without P@1; run its config again (only "
            "the evaluation is made anew)"
        )
    states = range(run.ran + 1)

    def measured(name: str) -> Measured:
        return Measured(methods[name]["P@1"], *methods[name]["P@1_ci"])

    series = {
        name: tuple(measured(final_method(n, kind if n else UNWEIGHED[kind])) for n in states)
        for kind, name in KINDS.items()
        if kind != "learned" or final_method(run.ran, kind) in methods
    }
    return Progress("P@1", methods["hybrid"]["documents"], tuple(states), series)


def _judge_progress(run: FinishedRun) -> Progress | None:
    opinions = {int(n): own for n, own in run.summary["selection"].items()}
    if not opinions:
        return None
    states = sorted(opinions)

    def series(kind: str) -> tuple[Measured, ...]:
        own = (opinions[n].get(kind) or opinions[n][UNWEIGHED[kind]] for n in states)
        return tuple(Measured(o["mean"], o["low"], o["high"]) for o in own)

    documents = opinions[states[0]]["hybrid"]["documents"]
    kinds = [kind for kind in KINDS if kind in opinions[states[-1]]]
    told = {KINDS[kind]: series(kind) for kind in kinds}
    return Progress("P@1", documents, tuple(states), told)


def _gain(run: FinishedRun, test: Sample | None) -> Measured | None:
    """Paired difference of P@1 on the sample's documents; None where the untrained ships."""
    state, _ = shipped(run)
    if test is None or state == 0:
        return None
    pairs = test.pairs
    first = pairs.where(pairs.rank_N == 0)
    before: dict[str, int] = {}
    files = run.steps["test hybrid 0"].unit_files()
    for unit in test.units:
        table = storage.read_table(files[unit], ["doc_id", "label_ids"])
        rows = zip(table["doc_id"].to_pylist(), table["label_ids"].to_pylist(), strict=True)
        for doc_id, labels in rows:
            never = test.never.get(doc_id, frozenset())
            before[doc_id] = next((label for label in labels if label not in never), -1)
    gold = test.gold or {}
    hits = [float(before.get(doc_id, -1) in gold[doc_id]) for doc_id in pairs.doc_ids]
    return mean(first.per_document(first.true_N) - np.array(hits))


def _labels(
    sample: Sample | None, accepted_L: np.ndarray, limit: int
) -> tuple[Firing | None, list[Slice]]:
    if sample is None:
        return None, []
    wanted_L = None
    if sample.gold is not None:
        wanted = [label for labels in sample.gold.values() for label in labels]
        wanted_L = np.bincount(wanted, minlength=len(accepted_L))
    counted = count(sample.pairs, accepted_L, wanted_L, limit)
    return firing(counted), slices(counted)


def _names(run: FinishedRun, fires: Firing | None) -> dict[int, str]:
    if fires is None:
        return {}
    return label_texts(run, {one.label for one in (*fires.always, *fires.never)})
