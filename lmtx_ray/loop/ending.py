"""The end of a run: bundle the winner, evaluate every method, print the table."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.selection import to_ship
from lmtx_ray.loop import report
from lmtx_ray.loop.bundling import bundle_step
from lmtx_ray.loop.cycle import RunResult, timed
from lmtx_ray.loop.naming import name_bundle
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.stopping import outputs_of


def finish(config: RunConfig, result: RunResult) -> dict[str, Any]:
    """Publish bundle, then evaluation; print the table when there is gold; return the summary."""
    ranking = shipped_ranking(config, result)
    final = report.final_method(result.best, ranking)
    with timed(result, "bundle"):
        bundle_step(config, result, fused=ranking == "hybrid")
    summary: dict[str, Any] = {"final": final}
    if result.layout.test:
        with timed(result, "evaluate"):
            summary = evaluate_methods(config, result, final)
    summary["untrained"] = result.best == 0
    summary["judge"] = report.judge_summary(config, result.layout, result.ran)
    summary["selection"] = _selection(result)
    summary |= {"seconds": result.seconds, "run": config.run, "bundle": result.layout.bundle.uri}
    name_bundle(config, result.layout, summary)
    evaluation_step = result.layout.evaluation  # of two drivers at the end, the first one's counts
    evaluation_step.publish_table(pa.table({"summary": [json.dumps(summary)]}), rows=1)
    return report.show(config, report.read_summary(evaluation_step))


def _selection(result: RunResult) -> dict[int, dict[str, Any]]:
    """The judge's opinion of each state's rankings, as plain values."""
    return {
        number: {name: asdict(opinion) for name, opinion in opinions.items()}
        for number, opinions in result.opinions.items()
    }


def shipped_ranking(config: RunConfig, result: RunResult) -> str:
    """ "dense" or "hybrid"; without a judge's opinion the fused ranking, if nothing else is set."""
    if not result.opinions:
        return "dense" if config.ship == "dense" else "hybrid"
    return to_ship(result.opinions[result.best], config.ship)


def finish_at(config: RunConfig, result: RunResult, stop: str) -> dict[str, Any]:
    """The end of a run that was to stop at `stop`: what is published there, and how many rows.

    A loop that ended before, as its own rule says, leaves some of it unpublished: `reached` tells.
    """
    if stop == "bundle":
        ranking = shipped_ranking(config, result)
        with timed(result, "bundle"):
            bundle_step(config, result, fused=ranking == "hybrid")
        final = report.final_method(result.best, ranking)
        name_bundle(config, result.layout, {"final": final, "selection": _selection(result)})
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
    """`methods`, the same without the excluded labels, and the paired gain of `final`."""
    layout, settings = result.layout, config.evaluation
    excluded = set[int]()
    if settings.exclude_keys:
        keys = pa.array(settings.exclude_keys, pa.string())
        table = layout.labels.where("label_key", keys, ["label_id"])
        excluded = set(table["label_id"].to_pylist())
    summary: dict[str, Any] = {}
    for name, labels in (("methods", frozenset()), ("methods_excluding", frozenset(excluded))):
        if name == "methods" or labels:
            rows = report.method_rows(layout, result.ran, settings, labels)
            summary[name] = {method: evaluation.summarise(table) for method, table in rows.items()}
            gain: dict[str, Any] = {}
            for metric in (f"P@{settings.precision_at[0]}", f"R@{settings.recall_at[0]}"):
                gain |= evaluation.compare(rows[final], rows["encoder"], metric)
            summary["gain" if name == "methods" else "gain_excluding"] = gain
    return {**summary, "final": final}
