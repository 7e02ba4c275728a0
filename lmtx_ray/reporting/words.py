"""The numbers of a report in plain sentences: is it good enough, how sure is that, what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.reporting.contents import FUSED, Progress, Report
from lmtx_ray.reporting.resampling import Measured
from lmtx_ray.reporting.thresholds import AtThreshold, for_precision

GOOD, HELPFUL = 0.9, 0.5  # shares of right tags: without a person, with one who checks
WEAK_JUDGE = 0.7
MANY_UNCLEAR = 0.1


@dataclass(frozen=True)
class Verdict:
    """The answer in short (`level` is "good", "usable", "weak" or "unknown"), sentences on what was
    found, and what to do next; a step is (what, command or "")."""

    level: str
    headline: str
    findings: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]


def percent(share: float | None, digits: int = 0) -> str:
    """73 %, or a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def interval(measured: Measured | None, digits: int = 0) -> str:
    """73 % (70–76 %), or a dash."""
    if measured is None:
        return "–"
    low, high = (f"{100 * value:.{digits}f}" for value in (measured.low, measured.high))
    return f"{percent(measured.value, digits)} ({low}–{high} %)"


def method_name(name: str) -> str:
    """A row of the table of methods, for people."""
    known = {
        "bm25": "word search alone",
        "encoder": "encoder before training",
        "hybrid": "encoder before training + word search",
        "judge_rerank": "the judge itself, re-ranking",
    }
    if name in known:
        return known[name]
    _, number, *fused = name.split("_")
    return f"student of cycle {number}" + (" + word search" if fused else "")


def shipped_name(report: Report) -> str:
    """What the bundle holds."""
    if report.state == 0:
        name = "the encoder as it came, without training"
    else:
        name = f"the student of cycle {report.state}"
    return name + (", fused with word search" if report.ranking == "hybrid" else "")


def conclude(report: Report) -> Verdict:
    """The whole summary."""
    first, who = first_tag(report)
    sure = for_precision(list(report.thresholds), GOOD)
    level = _level(first, sure)
    headline = {
        "good": "Good enough to tag without a person, with the right threshold",
        "usable": "Good enough to suggest tags that a person checks",
        "weak": "Not good enough yet",
        "unknown": "Nobody has judged these tags yet",
    }[level]
    findings = [
        f"What ships: {shipped_name(report)}.",
        *_rightness(report, first, who),
        *_gain(report),
        *_threshold(report, sure),
        *_trust(report),
    ]
    return Verdict(level, headline, tuple(findings), tuple(_steps(report, level, sure)))


def final_progress(report: Report) -> Progress | None:
    """What accuracy is told by: gold where there is any, else the judge."""
    return report.by_gold or report.by_judge


def first_tag(report: Report) -> tuple[Measured | None, str]:
    """What of the first tag is right, and by whose word: "gold", "judge" or ""."""
    progress = final_progress(report)
    if progress is None:
        return None, ""
    kind = FUSED if report.ranking == "hybrid" else next(k for k in progress.series if k != FUSED)
    return progress.series[kind][report.state], "gold" if report.by_gold else "judge"


def _level(first: Measured | None, sure: AtThreshold | None) -> str:
    if first is None:
        return "unknown"
    if first.low >= GOOD or (sure is not None and sure.per_document >= 1):
        return "good"
    return "usable" if first.value >= HELPFUL or sure is not None else "weak"


def _rightness(report: Report, first: Measured | None, who: str) -> list[str]:
    if first is None:
        return [
            "There is neither gold nor a judge's word, so nothing is known of how right the tags "
            "are: this is search, not yet tagging that was taught."
        ]
    progress = final_progress(report)
    assert progress is not None
    documents = f"{progress.documents:,}"
    if who == "gold":
        return [
            f"The first tag is right for {interval(first)} of {documents} test documents, measured "
            "against gold labels that training never saw. (In brackets, here and below: where the "
            "true value lies with 95 % certainty.)"
        ]
    return [
        f"The judge accepts the first tag of {interval(first)} of {documents} documents that were "
        "held aside. This is the judge's own opinion, not the truth: there are no gold labels, and "
        "training aimed at pleasing this judge."
    ]


def _gain(report: Report) -> list[str]:
    if report.ran and report.state == 0:
        return ["Training did not help: in the judge's opinion the untrained search is as good."]
    if report.gain is None:
        return []
    points = f"{100 * report.gain.value:+.1f} points ({_points(report.gain)})"
    if report.gain.low > 0:
        return [f"Training helped: {points} of right first tags over untrained search."]
    if report.gain.high < 0:
        return [f"Training harmed: {points} of right first tags against untrained search."]
    return [
        f"Training made no difference beyond chance: {points} of right first tags against untrained "
        "search."
    ]


def _points(gain: Measured) -> str:
    return f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"


def _threshold(report: Report, sure: AtThreshold | None) -> list[str]:
    if not report.thresholds:
        return []
    whole = report.thresholds[0]
    who = "right" if report.judged_by == "gold" else "accepted by the judge"
    told = [
        f"Without a threshold {interval(whole.precision)} of the first {report.limit} tags are {who}"
        + (
            f", and {interval(whole.recall)} of the right labels are among them."
            if whole.recall
            else "."
        )
    ]
    if sure is None:
        return [*told, f"No threshold makes {percent(GOOD)} of the tags {who}."]
    if sure.threshold == 0:
        return told
    found = f" and {percent(sure.recall.value)} of the right labels" if sure.recall else ""
    return [
        *told,
        f"At most one tag in ten is wrong with a probability of at least {sure.threshold:.2f} "
        f"({interval(sure.precision)} {who}): that leaves {sure.per_document:.1f} tags a "
        f"document{found}.",
    ]


def _trust(report: Report) -> list[str]:
    told = []
    reliable = report.reliable_gold or report.reliable_judge
    if reliable is not None:
        who = "gold" if report.reliable_gold else "the judge"
        told.append(
            f"A stated probability is {100 * reliable.error:.0f} points off on average, against {who}."
        )
    if "auc" in report.judge:
        told.append(
            f"The judge itself: {percent(report.judge['precision'])} of what it accepted is right, and "
            f"it accepted {percent(report.judge['recall'])} of the right labels that it was shown."
        )
    return told


def _steps(report: Report, level: str, sure: AtThreshold | None) -> list[tuple[str, str]]:
    """What to do next, most useful first."""
    bundle = f"{report.uri}/{report.steps['bundle']}"
    least = f" --min-probability {sure.threshold:.2f}" if sure and sure.threshold else ""
    steps: list[tuple[str, str]] = []
    if level in ("good", "usable"):
        command = f"lmtx tag --bundle {bundle} --input DOCUMENTS --output TAGS{least}"
        steps.append(("Tag documents:", command))
    if report.by_gold is None:
        steps.append(
            (
                "Have a hundred tags checked by somebody who knows, or name gold as `corpus.test`: only "
                "that tells how far the judge can be trusted.",
                "",
            )
        )
    steps += _judge_steps(report)
    if report.ran and report.ran == report.most == report.state:
        steps.append(
            (
                "The last cycle was the best one: another may be better still.",
                f"lmtx run CONFIG --set cycles.most={report.most + 1}",
            )
        )
    if report.ran and report.state == 0:
        steps.append(
            ("Ask about more documents or more labels of each: `judge.top_k`, `corpus.limit`.", "")
        )
    if report.rejects.total:
        steps.append((f"Look at the {report.rejects.total:,} rejected rows below.", ""))
    return steps


def _judge_steps(report: Report) -> list[tuple[str, str]]:
    judge: dict[str, Any] = dict(report.judge)
    steps = []
    if judge.get("precision", 1) < WEAK_JUDGE:
        steps.append(
            (
                "The judge is the limit: try a larger model or another prompt, and compare.",
                "lmtx judge-check CONFIG",
            )
        )
    pairs = sum(step.pairs for step in report.asked)
    unclear = sum(step.unclear for step in report.asked)
    if pairs and unclear / pairs > MANY_UNCLEAR:
        steps.append(
            (
                f"{percent(unclear / pairs)} of the judge's answers were neither yes nor no: its prompt "
                "or its template may not fit (docs/judge.md).",
                "lmtx judge-check CONFIG",
            )
        )
    return steps
