"""Rows that were not taken, counted by their reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lmtx_ray.loop.finished_run import FinishedRun

REASONS, EXAMPLES, RAW = 10, 5, 160


@dataclass(frozen=True)
class Reject:
    """One rejected row; `raw` is the beginning of what was there."""

    source: str
    position: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Rejects:
    """How many rows were rejected, the most frequent reasons with their counts, how many rows have
    other ones, and the first rows."""

    total: int
    reasons: tuple[tuple[str, int], ...]
    others: int
    examples: tuple[Reject, ...]


def rejects_of(run: FinishedRun) -> Rejects:
    """Of documents and test documents."""
    counts: Counter[str] = Counter()
    examples: list[Reject] = []
    for name in ("rejects", "test rejects"):
        for table in run.steps[name].tables() if run.has(name) else ():
            counts.update(table["reason"].to_pylist())
            for row in table.slice(0, EXAMPLES - len(examples)).to_pylist():
                raw = (row["raw"] or "")[:RAW]
                examples.append(Reject(row["source"], row["position"], row["reason"], raw))
    shown = tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:REASONS])
    total = sum(counts.values())
    return Rejects(total, shown, total - sum(n for _, n in shown), tuple(examples))
