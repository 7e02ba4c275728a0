"""The table of `benchmarks.quality`: means over seeds, paired intervals, and what was asked for.

Shapes: B test documents. All seeds of a set are tested on the same documents, so a document's value
is its mean over seeds, and intervals are over documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality_jobs import COLUMNS, PSP, Job, Measured
from lmtx_ray.evaluation.metrics import bootstrap_difference

SEED = 13
NAMES = [f"{name}@{k}" for name, k in COLUMNS]
BEYOND_PAPER, BEYOND_HYBRID, BEYOND_JUDGE = 5.0, 6.0, 2.0  # points that were asked for
ALL_WAYS = ("alone", "fused")
PAPERS = ("paper, published,", "paper, warm-up 0.1,", "paper")  # the last: with as many pairs
ORDER = (
    *("bm25", "untouched encoder", "hybrid", "title", "segment", "icxml", "judge re-ranking"),
    *(*PAPERS, "default"),
)


@dataclass(frozen=True)
class Line:
    """A row's mean over `seeds`; `values` of each document, in points of 100."""

    name: str
    values: dict[str, np.ndarray]
    psp: float
    calls: float
    calls_each: float
    seconds: float
    seeds: int

    def mean(self, metric: str) -> float:
        """In points of 100."""
        return float(self.values[metric].mean())


Lines = Mapping[str, Line]


def lines_of(results: Iterable[tuple[Job, Sequence[Measured]]]) -> dict[str, dict[str, Line]]:
    """set -> row name -> line, in the table's order."""
    found: dict[str, dict[str, list[Measured]]] = {}
    for job, rows in results:
        for row in rows:
            found.setdefault(job.set, {}).setdefault(row.name, []).append(row)
    return {
        name: {row: _line(row, rows[row]) for row in sorted(rows, key=_place)}
        for name, rows in sorted(found.items())
    }


def _place(name: str) -> tuple[int, str]:
    kinds = [place for place, kind in enumerate(ORDER) if name.startswith(kind)]
    return kinds[0] if kinds else len(ORDER), name


def _line(name: str, rows: Sequence[Measured]) -> Line:
    values = {n: 100 * np.mean([row.values[n] for row in rows], axis=0) for n in NAMES}
    above, below = (
        sum(getattr(row, side).sum() for row in rows) for side in ("psp_above_B", "psp_below_B")
    )
    calls, each, seconds = (
        float(np.mean([getattr(row, name) for row in rows]))
        for name in ("calls", "calls_each", "seconds")
    )
    psp = 100 * float(above / max(below, 1e-12))
    return Line(name, values, psp, calls, each, seconds, len(rows))


def every(lines: Lines, kind: str, *ways: str) -> list[Line]:
    """The lines of a method's cycles, those of some `ways` ("alone", …) only."""
    return [lines[name] for name in lines if _parts(name)[0] == kind and name.endswith(ways)]


def last(lines: Lines, kind: str, *ways: str) -> list[Line]:
    """The same of its last cycle."""
    own = every(lines, kind, *ways)
    end = max((_parts(line.name)[1] for line in own), default=0)
    return [line for line in own if _parts(line.name)[1] == end]


def _parts(name: str) -> tuple[str, int]:
    """A row's method and cycle, 0 without one: of "paper, published, 2 alone" the 2."""
    method, *cycle_and_way = name.rsplit(" ", 2)
    return method, int(cycle_and_way[0]) if len(cycle_and_way) == 2 else 0


def differences(lines: Lines) -> dict[str, dict[str, list[float]]]:
    """How much more the default recipe (`default_line`) has than others: mean and its 95 % paired
    interval, in points."""
    own = default_line(lines)
    if own is None:
        return {}
    others = [lines[name] for name in ("hybrid", "judge re-ranking") if name in lines]
    for kind in (*PAPERS, "title", "segment"):
        others += last(lines, kind, "alone", "fused")
    return {
        other.name: {
            metric: [
                round(value, 2)
                for value in bootstrap_difference(own.values[metric], other.values[metric], SEED)
            ]
            for metric in ("P@1", "R@10")
        }
        for other in others
    }


def asked(table: Mapping[str, Lines]) -> list[dict[str, Any]]:
    """Each target: its numbers on each set, on how many it was wanted and whether it is met."""
    sets = len(table)
    told = {
        "default beats paper, alone as published, by 5 points of P@1": (
            sets,
            _gains(table, PAPERS, BEYOND_PAPER, "alone"),
        ),
        "default beats paper fused with words by 5 points of P@1": (
            sets,
            _gains(table, PAPERS, BEYOND_PAPER, "fused"),
        ),
        "default beats title, alone and fused, at P@1": (sets, _gains(table, ["title"], 0.0)),
        "default beats segment, alone and fused, at P@1": (sets, _gains(table, ["segment"], 0.0)),
        "default beats the hybrid by 6 points of P@1 and of R@10, on none worse": (
            2,
            _of_sets(table, _beyond_hybrid),
        ),
        "the student reaches its judge's P@1 and beats its R@10 by 2 points": (
            2,
            _of_sets(table, _beyond_judge),
        ),
        "title matches the untouched encoder at P@1": (1, _of_sets(table, _matches("title"))),
        "segment matches the untouched encoder at P@1": (1, _of_sets(table, _matches("segment"))),
    }
    return [_told(name, *one) for name, one in told.items()]


def default_line(lines: Lines) -> Line | None:
    """What the default recipe is measured by: the ranking that ships, its last with all sides
    weighed."""
    return next(iter(last(lines, "default", "learned")), None)


def _told(what: str, sets: int, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    worse = any([one.pop("worse", False) for one in found.values()])  # of all: none is shown
    met_on = sum(one["met"] for one in found.values())
    met = bool(found) and met_on >= sets and not worse
    return {"what": what, "value": found, "wanted": f"met on {sets} or more sets", "met": met}


def _of_sets(table: Mapping[str, Lines], test: Any) -> dict[str, dict[str, Any]]:
    found = {name: test(lines) for name, lines in table.items()}
    return {name: one for name, one in found.items() if one}


def _gains(
    table: Mapping[str, Lines], kinds: Sequence[str], least: float, *ways: str
) -> dict[str, dict[str, Any]]:
    """Over the best that another has at the end of any cycle, of all its kinds; of its rankings, or
    of those of some `ways`."""

    def test(lines: Lines) -> dict[str, Any]:
        own = default_line(lines)
        others = [line for kind in kinds for line in every(lines, kind, *(ways or ALL_WAYS))]
        if own is None or not others:
            return {}
        best = max(others, key=lambda line: line.mean("P@1"))
        gain = own.mean("P@1") - best.mean("P@1")
        met = gain >= least if least else gain > 0
        return {"over": best.name, "P@1": round(gain, 2), "met": met}

    return _of_sets(table, test)


def _beyond_hybrid(lines: Lines) -> dict[str, Any]:
    own = default_line(lines)
    if own is None or "hybrid" not in lines:
        return {}
    gains = {m: round(own.mean(m) - lines["hybrid"].mean(m), 2) for m in ("P@1", "R@10")}
    least = min(gains.values())
    return {**gains, "met": least >= BEYOND_HYBRID, "worse": least < 0}


def _beyond_judge(lines: Lines) -> dict[str, Any]:
    best = default_line(lines)
    if best is None or "judge re-ranking" not in lines:
        return {}
    judge = lines["judge re-ranking"]
    share = 100 * best.mean("P@1") / max(judge.mean("P@1"), 1e-9)
    gain = best.mean("R@10") - judge.mean("R@10")
    met = share >= 100 and gain >= BEYOND_JUDGE
    return {"row": best.name, "P@1 %": round(share, 1), "R@10": round(gain, 2), "met": met}


def _matches(kind: str) -> Any:
    def test(lines: Lines) -> dict[str, Any]:
        own = last(lines, kind, "alone")
        if not own or "untouched encoder" not in lines:
            return {}
        gain = own[0].mean("P@1") - lines["untouched encoder"].mean("P@1")
        return {"P@1": round(gain, 2), "met": gain >= 0}

    return test


def as_json(table: Mapping[str, Lines]) -> dict[str, Any]:
    """All lines and differences."""
    return {
        name: {
            "documents": len(next(iter(lines.values())).values["P@1"]),
            "rows": {row: _numbers(line) for row, line in lines.items()},
            "default_minus": differences(lines),
        }
        for name, lines in table.items()
    }


def _numbers(line: Line) -> dict[str, Any]:
    found = {name: round(line.mean(name), 2) for name in NAMES}
    return {
        **found,
        f"PSP@{PSP}": round(line.psp, 2),
        "judged_pairs": round(line.calls),
        "judged_pairs_a_document_tagged": round(line.calls_each, 1),
        "training_seconds": round(line.seconds, 1),
        "seeds": line.seeds,
    }


def as_markdown(name: str, lines: Lines) -> str:
    """The table of a set."""
    head = ["", *NAMES, f"PSP@{PSP}", "judged pairs", "training s"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for line in lines.values():
        calls = f"{line.calls_each:.0f} a document" if line.calls_each else f"{line.calls:,.0f}"
        values = [f"{value:.1f}" for value in (*map(line.mean, NAMES), line.psp)]
        rows.append([line.name, *values, calls, f"{line.seconds:.0f}"])
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    told = "\n".join(
        f"- default − {other}: "
        + ", ".join(f"{m} {v[0]:+.1f} [{v[1]:+.1f}, {v[2]:+.1f}]" for m, v in found.items())
        for other, found in differences(lines).items()
    )
    return f"### {name}\n\n{text}\n\n{told}\n"
