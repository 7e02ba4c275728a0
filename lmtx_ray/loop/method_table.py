"""The table of all methods as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmtx_ray.evaluation.rendering import columns, per_cent
from lmtx_ray.loop.run_config import EvaluationConfig

Metrics = Mapping[str, Any]
CALLS, SLICED = "calls_per_document", "by_frequency"


def metric_names(config: EvaluationConfig) -> list[str]:
    """Columns of the table, as in the field: P@1 … R@10 … nDCG@5."""
    return [
        f"{name}@{k}"
        for name, ks in (
            ("P", config.precision_at),
            ("R", config.recall_at),
            ("nDCG", config.ndcg_at),
            ("PSP", config.precision_at[-1:]),
        )
        for k in ks
    ]


def render_table(methods: Mapping[str, Metrics], metrics: list[str], final: str) -> str:
    """Per cent, one line a method; the one that ships is marked with an asterisk. What a method
    asks a judge for each document stands at the end, where any does. A metric that an earlier
    version did not measure is left out."""
    metrics = [name for name in metrics if all(name in values for values in methods.values())]
    width = max(len(name) for name in methods) + 2
    asked = any(CALLS in values for values in methods.values())
    head = " " * width + "".join(f"{name:>9}" for name in metrics) + "   P@1, 95 % interval"
    lines = [head + ("   calls/document" if asked else "")]
    for name, values in methods.items():
        mark = " *" if name == final else ""
        low, high = values.get("P@1_ci", (float("nan"), float("nan")))
        cells = "".join(f"{100 * values[metric]:9.1f}" for metric in metrics)
        interval = f"   [{100 * low:.1f}, {100 * high:.1f}]"
        calls = f"{values.get(CALLS, 0):>17g}" if asked else ""
        lines.append(f"{name + mark:<{width}}{cells}{interval:<21}{calls}".rstrip())
    return "\n".join(lines)


def frequency_table(methods: Mapping[str, Metrics], about: Mapping[str, Any]) -> str:
    """Recall by slices of label frequency, per cent, one line a method. `about` is the summary's
    "frequency"."""
    first = next(iter(methods.values()))[SLICED]  # the gold is the same for all
    slices = list(first)
    rows = [["documents that a label stands in", *slices]]
    rows.append(["labels", *(f"{about['labels'][name]:,}" for name in slices)])
    rows.append(["gold pairs", *(f"{first[name]['pairs']:,}" for name in slices)])
    metric = next(name for name in first[slices[0]] if name.startswith("R@"))
    for name, values in methods.items():
        cells = [per_cent(values[SLICED][part][metric]) for part in slices]
        rows.append([f"{metric} of {name}", *cells])
    return f"By label frequency, counted in {about['counted_in']}\n{columns(rows)}"


def tables(summary: dict[str, Any], metrics: list[str]) -> str:
    """The table of all methods, and the same without the excluded labels."""
    which = (
        "Documents with gold, trained on without it"
        if summary.get("trained_on")
        else ("Test documents")
    )
    text = f"\n{which}, per cent (* ships)\n"
    text += render_table(summary["methods"], metrics, summary["final"])
    if "methods_excluding" in summary:
        text += "\n\nThe same without the excluded labels\n"
        text += render_table(summary["methods_excluding"], metrics, summary["final"])
    if "frequency" in summary:
        text += "\n\n" + frequency_table(summary["methods"], summary["frequency"])
    return text
