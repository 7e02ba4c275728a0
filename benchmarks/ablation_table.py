"""What `benchmarks.ablation` tells of its runs: means over seeds, and differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.quality import SETS

ROWS = ("dense", "hybrid", "learned")  # of the printed table, after two cycles
SHOWN = ("P@1", "R@10")
AGAINST = "more"  # what the others change one thing of
Results = Sequence[Mapping[str, Any]]  # of runs


def by_set(results: Results, names: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """set -> variant -> means over its seeds, in the order of `names`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in names:
        for where in SETS:
            own = [one for one in results if (one["set"], one["variant"]) == (where, name)]
            if own:
                others = [
                    one for one in results if (one["set"], one["variant"]) == (where, AGAINST)
                ]
                apart = {"apart": _apart(own, others)} if name != AGAINST else {}
                found.setdefault(where, {})[name] = _means(own) | apart
    return found


def _apart(runs: Results, others: Results) -> dict[str, dict[str, list[float]]]:
    """row -> metric -> how much more than the other variant's, of each seed: the same documents."""
    by_seed = {one["seed"]: one["rows"] for one in others}
    same = [(one["seed"], one["rows"]) for one in runs if one["seed"] in by_seed]
    pairs = [(rows, by_seed[seed]) for seed, rows in sorted(same, key=lambda one: one[0])]
    rows = (f"{row} 2" for row in ROWS) if pairs else ()
    return {
        row: {
            metric: [round(own[row][metric] - other[row][metric], 1) for own, other in pairs]
            for metric in SHOWN
        }
        for row in rows
        if all(row in side for pair in pairs for side in pair)
    }


def _means(runs: Results) -> dict[str, Any]:
    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 1)

    kept = ("documents", "judged_pairs", "training_seconds")
    rows = {
        row: {metric: mean([one["rows"][row][metric] for one in runs]) for metric in values}
        for row, values in runs[0]["rows"].items()
    }
    numbers = {name: mean([one[name] for one in runs]) for name in kept}
    return {"seeds": len(runs), **numbers, "rows": rows}


def table(where: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """P@1 / R@10 of ROWS after two cycles, and how far each is from AGAINST, in Markdown."""
    heads = ["", *ROWS, *(f"{row} − {AGAINST}" for row in ROWS)]
    lines = [f"### {where}", "", f"| {' | '.join(heads)} |", "|---|" + "---|" * (2 * len(ROWS))]
    for name, one in found.items():
        cells = [_cell(one["rows"].get(f"{row} 2")) for row in ROWS]
        cells += [_differs(one.get("apart", {}).get(f"{row} 2")) for row in ROWS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Mapping[str, float] | None) -> str:
    return " / ".join(f"{values[metric]:.1f}" for metric in SHOWN) if values else "–"


def _differs(values: Mapping[str, Sequence[float]] | None) -> str:
    """Means over the seeds, with their standard error where there are several."""
    if not values:
        return "–"
    told = []
    for metric in SHOWN:
        each = np.array(values[metric])
        error = f" ± {each.std(ddof=1) / len(each) ** 0.5:.1f}" if len(each) > 1 else ""
        told.append(f"{each.mean():+.1f}{error}")
    return " / ".join(told)
