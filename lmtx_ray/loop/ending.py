"""The end of a run: bundle the winner, evaluate every method, print the table."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from lmtx_ray.evaluation import evaluation
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop import outcome
from lmtx_ray.loop.bundling import bundle_step
from lmtx_ray.loop.cycle import RunResult, timed
from lmtx_ray.loop.frequencies import by_frequency, frequency_of
from lmtx_ray.loop.judged import JudgedRun, judged_summary
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.method_table import CALLS
from lmtx_ray.loop.naming import name_bundle
from lmtx_ray.loop.record import write_end
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.self_matching import pairs_of_run
from lmtx_ray.loop.shipping import UNTRAINED, Choice, choose
from lmtx_ray.loop.stopping import outputs_of

logger = logging.getLogger(__name__)


def finish(config: RunConfig, result: RunResult) -> dict[str, Any]:
    """Publish bundle, then evaluation; print the table when there is gold; return the summary."""
    choice = bundle_choice(config, result)
    summary: dict[str, Any] = {"final": choice.method}
    if result.layout.test:
        with timed(result, "evaluate"):
            summary = evaluate_methods(config, result, choice.method)
        summary["trained_on"] = config.corpus.test is None  # the test documents, not their gold
    summary["untrained"] = choice.number == 0
    summary["source"], summary["cycles"] = config.source, result.ran
    summary["shipped"] = choice.to_dict()
    if result.opinions:
        summary["judged"] = judged_summary(
            JudgedRun.of_layout(config, result.layout, result.ran),
            rankings_of(result.layout, choice),
            choice.method,
        )
    summary["judge"] = outcome.judge_summary(config, result.layout, result.ran)
    summary["selection"] = _selection(result)
    summary |= {"seconds": result.seconds, "run": config.run, "bundle": result.layout.bundle.uri}
    write_end(config, result.layout)
    name_bundle(config, result.layout, summary)
    evaluation_step = result.layout.evaluation  # of two drivers at the end, the first one's counts
    evaluation_step.publish_table(pa.table({"summary": [json.dumps(summary)]}), rows=1)
    return outcome.show(config, outcome.read_summary(evaluation_step))


def bundle_choice(config: RunConfig, result: RunResult) -> Choice:
    """Publish the bundle of what ships; returns what that is."""
    choice = choose(result.best, result.opinions, result.accepted, config.ship)
    result.best = choice.number
    logger.info("%s", choice.words)
    with timed(result, "bundle"):
        bundle_step(config, result, choice.ranking)
    return choice


def rankings_of(layout: Layout, choice: Choice) -> Dataset:
    """The rankings of all documents that ship."""
    return layout.states[choice.number].rankings[choice.ranking]


def _selection(result: RunResult) -> dict[int, dict[str, Any]]:
    """The judge's opinion of each state's rankings, as plain values."""
    return {
        number: {name: asdict(opinion) for name, opinion in opinions.items()}
        for number, opinions in result.opinions.items()
    }


def finish_at(config: RunConfig, result: RunResult, stop: str) -> dict[str, Any]:
    """The end of a run that was to stop at `stop`: what is published there, and how many rows.

    A loop that ended before, as its own rule says, leaves some of it unpublished: `reached` tells.
    """
    if stop == "bundle":
        choice = bundle_choice(config, result)
        name_bundle(
            config, result.layout, {"final": choice.method, "selection": _selection(result)}
        )
    steps = outputs_of(result.layout, stop)
    done = {name: step for name, step in steps.items() if step.is_complete()}
    manifests = {name: step.manifest() for name, step in done.items()}
    rows = {name: manifest.rows() for name, manifest in manifests.items() if manifest.units}
    return {
        "run": config.run,
        "until": stop,
        "reached": len(done) == len(steps),
        "outputs": {name: step.uri for name, step in done.items()},
        "rows": rows,
        "seconds": result.seconds,
    }


def evaluate_methods(config: RunConfig, result: RunResult, final: str) -> dict[str, Any]:
    """`methods`, the same without the excluded labels, and the paired gain of `final` over the
    untouched encoder and over the untrained hybrid."""
    layout, settings = result.layout, config.evaluation
    excluded = set[int]()
    if settings.exclude_keys:
        keys = pa.array(settings.exclude_keys, pa.string())
        table = layout.labels.where("label_key", keys, ["label_id"])
        excluded = set(table["label_id"].to_pylist())
    frequency, counted = frequency_of(config, layout)
    never = pairs_of_run(config.corpus, layout.labels, layout.label_rejects)
    readers = outcome.unit_readers(layout, result.ran, never)
    units = layout.tested.gold.unit_files()
    calls = outcome.calls_per_document(layout)
    summary: dict[str, Any] = {"frequency": counted}
    for name, labels in (("methods", frozenset()), ("methods_excluding", frozenset(excluded))):
        if name == "methods" or labels:
            rows = outcome.method_rows(layout, readers, settings, labels)
            if labels and not rows[final].num_rows:
                logger.warning("evaluation.exclude_keys: no gold label is left without these")
                continue
            sliced = by_frequency(readers, units, frequency, settings, labels)
            summary[name] = {
                method: {
                    **evaluation.summarise(table, settings.seed),
                    **sliced[method],
                    **({CALLS: calls[method]} if method in calls else {}),
                }
                for method, table in rows.items()
            }
            ending = name.removeprefix("methods")
            for gain, other in (("gain", "encoder"), ("gain_over_hybrid", UNTRAINED)):
                summary[gain + ending] = {
                    key: value
                    for metric in (f"P@{settings.precision_at[0]}", f"R@{settings.recall_at[0]}")
                    for key, value in evaluation.compare(
                        rows[final], rows[other], metric, settings.seed
                    ).items()
                }
    return {**summary, "final": final}
