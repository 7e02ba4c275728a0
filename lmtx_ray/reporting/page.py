"""A report as one HTML file that loads nothing. Every text in it comes from users: jinja2 escapes
all but the plots and the style sheet, which are ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from lmtx_ray.loop.shipping import final_method
from lmtx_ray.reporting import plots
from lmtx_ray.reporting.contents import Report
from lmtx_ray.reporting.reliability import Reliability
from lmtx_ray.reporting.svg import Plot
from lmtx_ray.reporting.words import (
    chosen,
    conclude,
    final_progress,
    first_tag,
    method_name,
    percent,
    signed,
)

RIGHT, ACCEPTED = "right first tags", "first tags that the judge accepts"
SECTIONS = (
    ("summary", "Summary"),
    ("accuracy", "Accuracy"),
    ("thresholds", "Threshold"),
    ("reliability", "Probabilities"),
    ("judge", "Judge"),
    ("cost", "Time and cost"),
    ("labels", "Labels"),
    ("documents", "Documents"),
    ("rejects", "Rejects"),
    ("provenance", "Provenance"),
)


@dataclass(frozen=True)
class Tile:
    """A number that is seen first."""

    number: str
    what: str
    note: str = ""


def render(report: Report) -> str:
    """The whole file; equal reports give equal text."""
    rows = report.thresholds
    return _template().render(
        report=report,
        name=report.uri.rstrip("/").rsplit("/", 1)[-1],
        style=Markup(_own("page.css")),
        sections=SECTIONS,
        verdict=conclude(report),
        tiles=_tiles(report),
        plots=_plots(report),
        reliable=_reliable(report),
        sure=chosen(report),
        table_rows=[row for row in rows if round(row.threshold * 20) % 2 == 0 or row.tags == 0],
        final=_final(report),
        methods_documents=next(iter(report.methods.values()), {}).get("documents"),
        judge_name=_judge_name(report),
        provenance=_provenance(report),
        config=yaml.safe_dump(dict(report.config), sort_keys=False, allow_unicode=True),
        percent=percent,
        method_name=method_name,
        duration=duration,
        step_name=step_name,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"code": _code, "svg": _svg}
    return environment.from_string(_own("page.html.j2"))


def duration(seconds: float | None) -> str:
    """1 h 02 min, 3 min 20 s, 12 s or 0.4 s."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left:02d} s" if minutes else f"{left} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def step_name(name: str) -> str:
    """A step of the driver, for people."""
    kind, _, number = name.rpartition(" ")
    if not number.isdecimal():
        named = {
            "lexical": "word search",
            "test verdicts": "test documents, before training",
            "chance verdicts": "labels drawn by chance",
            "test icxml verdicts": "test documents, labels found by the judge’s own phrases",
            "judge by chance": "asking the judge, labels drawn by chance",
            "judge test": "asking the judge, test documents",
            "icxml": "labels found by the judge’s own phrases",
            "icxml phrases": "asking the judge for phrases",
            "icxml judge": "asking the judge, labels found by its own phrases",
        }
        return named.get(name, name)
    state = f"cycle {number}" if number != "0" else "before training"
    kinds = {
        "embed": "vectors",
        "shortlist": "search",
        "judge": "asking the judge",
        "fit": "training",
        "select": "choosing what ships",
        "verdicts": "to learn from, and held aside",
        "selection": "choosing what ships",
    }
    return f"{kinds.get(kind, kind)}, {state}"


def _code(text: str) -> Markup:
    """What stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _svg(plot: Plot) -> Markup:
    """A plot of ours: it holds no text of users."""
    return Markup(plot.svg)


def _own(name: str) -> str:
    return (resources.files("lmtx_ray.reporting") / name).read_text(encoding="utf-8")


def _plots(report: Report) -> dict[str, Plot | None]:
    """By name; None where there is nothing to draw."""
    found = {
        one.name: one.found / one.wanted
        for one in report.slices
        if one.wanted and one.found is not None
    }
    reliable = _reliable(report)
    drawn: dict[str, Plot | None] = {
        "gold": plots.progress(report.by_gold, "gold", RIGHT) if report.by_gold else None,
        "judge": plots.progress(report.by_judge, "judge", ACCEPTED) if report.by_judge else None,
        "reliability": plots.reliable(reliable, "reliability") if reliable else None,
        "slices": plots.found_by_slice(list(found.items()), "slices") if found else None,
        "thresholds": None,
        "curve": None,
    }
    if len(report.thresholds) > 1:
        drawn["thresholds"] = plots.thresholds(report.thresholds, "thresholds")
    if any(report.curves.values()):
        drawn["curve"] = plots.precision_recall(report.curves, "curve")
    return drawn


def _reliable(report: Report) -> dict[str, Reliability]:
    kinds = {"against gold": report.reliable_gold, "against the judge": report.reliable_judge}
    return {name: told for name, told in kinds.items() if told is not None}


def _tiles(report: Report) -> list[Tile]:
    tiles = _accuracy_tiles(report)
    best, gold = chosen(report), report.judged_by == "gold"
    if best is not None and best.threshold:
        what = "for 9 right tags in 10" if gold else "for 9 accepted tags in 10"
        note = f"leaves {best.per_document:.1f} tags a document"
        tiles.append(Tile(f"≥ {best.threshold:.2f}", what, note))
    if report.asked:
        asked, saved = (f"{report.judge[name]:,}" for name in ("asked", "saved"))
        tiles.append(Tile(asked, "questions asked", f"{saved} saved"))
    total = report.costs.total
    money = f"{total.money:,.4g} for the judge" if total.money is not None else ""
    return [*tiles, Tile(duration(total.seconds), "running time", money)]


def _accuracy_tiles(report: Report) -> list[Tile]:
    (first, who), progress = first_tag(report), final_progress(report)
    tiles = []
    if first is not None and progress is not None:
        what, by = (RIGHT, "gold") if who == "gold" else (ACCEPTED, "the judge")
        low, high = (f"{100 * value:.0f}" for value in (first.low, first.high))
        note = f"{low}–{high} %, {progress.documents:,} documents, by {by}"
        tiles.append(Tile(percent(first.value), what, note))
    if report.gain is not None:
        note = f"{signed(report.gain.low)} to {signed(report.gain.high)}"
        tiles.append(Tile(signed(report.gain.value), "points by training", note))
    return tiles


def _final(report: Report) -> str:
    return final_method(report.state, report.ranking)


def _judge_name(report: Report) -> str:
    teacher = report.config["judge"]["teacher"]
    kinds = {
        "vllm": "a model on this cluster",
        "http": "a model behind an endpoint",
        "reranker": "a reranker on this cluster",
        "ensemble": "an ensemble of "
        + " and ".join(one["model"] or one["kind"] for one in teacher.get("members", ())),
        "lexical": "a rule that compares words, for tests: no model",
    }
    kind = kinds.get(teacher["kind"], teacher["kind"])
    return (
        f"{teacher['model']}, {kind}, prompt “{teacher['prompt']}”"
        if teacher["model"]
        else kind[:1].upper() + kind[1:]
    )


def _provenance(report: Report) -> list[tuple[str, Any]]:
    record, corpus = report.record, report.config["corpus"]
    return [
        ("Run", report.uri),
        ("Finished", report.ended),
        ("Bundle", report.steps.get("bundle", "")),
        ("Documents", ", ".join(corpus["documents"])),
        ("Labels", corpus["labels"]),
        ("Gold", corpus["gold"] or corpus["test"] or "none"),
        ("Identity of the documents", report.steps.get("documents", "")),
        ("Identity of the labels", report.steps.get("labels", "")),
        ("Encoder", report.config["encoder"]["model"]),
        ("lmtx_ray", record.get("packages", {}).get("lmtx_ray", "")),
        ("Code revision", record.get("revision", "")),
        ("Hash of the code", record.get("source_sha256", "")),
        ("Python", record.get("python", "")),
    ]
