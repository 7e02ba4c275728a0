"""The end of a run: bundle the winner, evaluate every method, print the table."""

from __future__ import annotations

import logging
from typing import Any

from lmtx_ray import evaluation, report
from lmtx_ray.bundle import bundle_step
from lmtx_ray.cycle import RunResult, timed
from lmtx_ray.settings import RunConfig

logger = logging.getLogger(__name__)


def finish(config: RunConfig, result: RunResult) -> dict[str, Any]:
    """Publish bundle and evaluation; print the table when there is gold; return the summary."""
    final = report.final_method(result.best, result.opinions, config.ship)
    with timed(result, "bundle"):
        bundle_step(config, result, fused=final.endswith("hybrid"))
    summary: dict[str, Any] = {"final": final}
    if result.layout.gold.read().num_rows:
        with timed(result, "evaluate"):
            summary = evaluate_methods(config, result, final)
        print(tables(summary, report.metric_names(config.evaluation)))
    summary["judge"] = report.judge_summary(config, result.layout, result.ran)
    summary |= {"seconds": result.seconds, "run": config.run, "bundle": result.layout.bundle.uri}
    print(costs(summary))
    return summary


def evaluate_methods(config: RunConfig, result: RunResult, final: str) -> dict[str, Any]:
    """`methods`, the same without the excluded labels, and the paired gain of `final`."""
    layout, settings = result.layout, config.evaluation
    rankings = report.method_rankings(config, layout, result.ran)
    gold = layout.gold.read()
    keys = layout.labels.read().select(["label_id", "label_key"]).to_pylist()
    excluded = {row["label_id"] for row in keys if row["label_key"] in settings.exclude_keys}
    summary: dict[str, Any] = {}
    for name, labels in (("methods", frozenset()), ("methods_excluding", frozenset(excluded))):
        if name == "methods" or labels:
            rows = report.method_rows(rankings, gold, settings, labels)
            summary[name] = {method: evaluation.summarise(table) for method, table in rows.items()}
            gain = {}
            for metric in ("P@1", "R@10"):
                gain |= evaluation.compare(rows[final], rows["encoder"], metric)
            summary["gain" if name == "methods" else "gain_excluding"] = gain
    return {**summary, "final": final}


def tables(summary: dict[str, Any], metrics: list[str]) -> str:
    """The table of all methods, and the same without the excluded labels."""
    text = "\nTest documents, per cent (* ships)\n"
    text += report.render_table(summary["methods"], metrics, summary["final"])
    if "methods_excluding" in summary:
        text += "\n\nThe same without the excluded labels\n"
        text += report.render_table(summary["methods_excluding"], metrics, summary["final"])
    return text


def costs(summary: dict[str, Any]) -> str:
    """One line on the judge, one on time."""
    judge = summary["judge"]
    lines = [f"\njudge: {judge['asked']:,} pairs asked, {judge['saved']:,} saved by the store, "
             f"{judge['unclear']:,} unclear"]  # fmt: skip
    if "auc" in judge:
        lines[0] += "; on test pairs precision {precision:.2f}, recall {recall:.2f}, AUC {auc:.3f}".format(**judge)  # fmt: skip
    total = sum(summary["seconds"].values())
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in summary["seconds"].items())
    return "\n".join([*lines, f"seconds: {total:.0f} ({parts})"])
