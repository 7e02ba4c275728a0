"""The numbers of a report in plain sentences: is it good enough, how sure is that, what is next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from lmtx_ray.evaluation.intervals import Measured, wilson
from lmtx_ray.loop.shipping import state_of
from lmtx_ray.reporting.contents import KINDS, Progress, Report
from lmtx_ray.reporting.thresholds import AtThreshold, for_precision

GOOD, HELPFUL = 0.9, 0.5  # shares of right tags: without a person, with one who checks
WEAK_JUDGE = 0.7
MANY_UNCLEAR = 0.1
CHECK = "lmtx judge-check CONFIG"
ADDED = {"dense": "", "hybrid": " + word search", "learned": " + word search + judged neighbours"}
SHIPPED = {
    "dense": "",
    "hybrid": ", fused with word search",
    "learned": ", weighed with word search and the labels of judged neighbours",
}
Step = tuple[str, str]  # what to do, and the command or ""


HEADLINES = {
    ("good", "gold"): "Good enough to tag without a person, with the right threshold",
    ("usable", "gold"): "Good enough to suggest tags that a person checks",
    ("usable", "judge"): "The judge likes these tags; nobody else has checked them yet",
    ("weak", "gold"): "Not good enough yet",
    ("weak", "judge"): "Not good enough yet, by the judge’s own opinion",
    ("unknown", ""): "Nobody has judged these tags yet",
}


@dataclass(frozen=True)
class Verdict:
    """The answer in short (`level` is "good", "usable", "weak" or "unknown"), sentences on what was
    found, and what to do next."""

    level: str
    headline: str
    findings: tuple[str, ...]
    steps: tuple[Step, ...]


def percent(share: float | None, digits: int = 0) -> str:
    """73 %, or a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def signed(share: float) -> str:
    """+5.0 or −5.0, in points."""
    return f"{100 * share:+.1f}".replace("-", "−")


def interval(measured: Measured | None, digits: int = 0) -> str:
    """73 % (70–76 %), or a dash."""
    if measured is None:
        return "–"
    low, high = (f"{100 * value:.{digits}f}" for value in (measured.low, measured.high))
    return f"{percent(measured.value, digits)} ({low}–{high}\u00a0%)"


def method_name(name: str) -> str:
    """A row of the table of methods, for people."""
    known = {
        "bm25": "word search alone",
        "encoder": "encoder before training",
        "hybrid": "encoder before training + word search",
        "judge_rerank": "the judge itself, re-ranking",
        "icxml": "the judge’s own phrases, found by search and re-ranked (ICXML)",
    }
    if name in known:
        return known[name]
    number, ranking = state_of(name)
    return f"student of cycle {number}" + ADDED[ranking]


def shipped_name(report: Report) -> str:
    """What the bundle holds."""
    if report.state == 0:
        name = "the encoder as it came, without training"
    else:
        name = f"the student of cycle {report.state}"
    return name + SHIPPED[report.ranking]


def conclude(report: Report) -> Verdict:
    """The whole summary."""
    first, who = first_tag(report)
    level = _level(report, first, who)
    findings = [
        f"What ships: {shipped_name(report)}.",
        *_rightness(report, first, who),
        *_gain(report),
        *_threshold(report),
        *_trust(report),
    ]
    steps = [*_tag(report, level), *_check(report), *_judge(report), *_more(report)]
    return Verdict(level, HEADLINES[level, who], tuple(findings), tuple(steps))


def chosen(report: Report) -> AtThreshold | None:
    """The threshold that the report recommends: the lowest from which on nine tags in ten are right
    with 95 % certainty, or else by the best guess; None where there is none."""
    return for_precision(report.thresholds, GOOD, certain=True) or for_precision(
        report.thresholds, GOOD, certain=False
    )


def final_progress(report: Report) -> Progress | None:
    """What accuracy is told by: gold where there is any, else the judge."""
    return report.by_gold or report.by_judge


def first_tag(report: Report) -> tuple[Measured | None, str]:
    """How often the first tag of what ships is right, and by whose word: "gold", "judge" or ""."""
    progress = final_progress(report)
    if progress is None:
        return None, ""
    return progress.series[KINDS[report.ranking]][
        report.state
    ], "gold" if report.by_gold else "judge"


def _level(report: Report, first: Measured | None, who: str) -> str:
    """Only gold can say "good"."""
    best = chosen(report)
    if first is None:
        return "unknown"
    progress = final_progress(report)
    assert progress is not None
    surely_right = (
        min(first.low, wilson(first.value * progress.documents, progress.documents)[0]) >= GOOD
    )
    certain = best is not None and best.precision is not None and best.precision.low >= GOOD
    if who == "gold" and (surely_right or (certain and best and best.per_document >= 1)):
        return "good"
    return "usable" if first.value >= HELPFUL or best is not None else "weak"


def _rightness(report: Report, first: Measured | None, who: str) -> list[str]:
    progress = final_progress(report)
    if first is None or progress is None:
        what = "this is search, not yet tagging that was taught"
        if report.state:
            what = "the student learned from the documents’ own texts, not from right tags"
        return [
            "There is neither gold nor a judge’s word, so nothing is known of how right the tags "
            f"are: {what}."
        ]
    documents = f"{progress.documents:,}"
    if who == "gold":
        return [
            f"The first tag is right for {interval(first)} of {documents} test documents, by gold "
            "labels that training never saw. (In brackets, here and below: where the true value "
            "lies with 95 % certainty.)"
        ]
    return [
        f"The judge accepts the first tag of {interval(first)} of {documents} documents that "
        "were held aside. That is its own opinion, not the truth: there are no gold labels, and "
        "training aimed at pleasing this very judge."
    ]


def _gain(report: Report) -> list[str]:
    if report.ran and report.state == 0:
        return ["Training did not help: in the judge’s opinion untrained search is as good."]
    if report.gain is None:
        return []
    low, high = signed(report.gain.low), signed(report.gain.high)
    points = f"{signed(report.gain.value)} points of right first tags ({low} to {high})"
    if report.gain.low > 0:
        return [f"Training helped: {points} over untrained search."]
    if report.gain.high < 0:
        return [f"Training harmed: {points} against untrained search."]
    return [f"Training made no difference beyond chance: {points} against untrained search."]


def _threshold(report: Report) -> list[str]:
    if not report.thresholds:
        return []
    whole, best = report.thresholds[0], chosen(report)
    gold = report.judged_by == "gold"
    who = "right" if gold else "accepted by the judge"
    among = f", and {interval(whole.recall)} of the right labels are among them" if gold else ""
    told = [f"Of the first {report.limit} tags {interval(whole.precision)} are {who}{among}."]
    if best is None or best.precision is None:
        return [*told, f"No threshold makes {percent(GOOD)} of the tags {who}."]
    if best.threshold == 0:
        return told
    much = "at most" if best.precision.low >= GOOD else "about"
    wrong = "wrong" if gold else "one that the judge refuses"
    found = f" and {percent(best.recall.value)} of the right labels" if best.recall else ""
    return [
        *told,
        f"From a probability of {best.threshold:.2f} on, {much} one tag in ten is {wrong} "
        f"({interval(best.precision)} {who}). That leaves {best.per_document:.1f} tags a "
        f"document{found}.",
    ]


def _trust(report: Report) -> list[str]:
    told = []
    reliable = report.reliable_gold or report.reliable_judge
    if reliable is not None:
        who = "gold" if report.reliable_gold else "the judge"
        points = f"{100 * reliable.error:.0f} points"
        told.append(f"A stated probability is {points} off on average, against {who}.")
    if "auc" in report.judge:
        precision, recall = (percent(report.judge[name]) for name in ("precision", "recall"))
        told.append(
            f"The judge itself: {precision} of what it accepted is right, and it accepted {recall} "
            "of the right labels that it was shown."
        )
    return told


def _tag(report: Report, level: str) -> list[Step]:
    if level == "weak":
        return []
    best = chosen(report)
    least = f" --min-probability {best.threshold:.2f}" if best and best.threshold else ""
    bundle = shlex.quote(f"{report.uri}/{report.steps['bundle']}")
    command = f"lmtx tag --bundle {bundle} --input DOCUMENTS --output TAGS{least}"
    return [("Tag documents:", command)]


def _check(report: Report) -> list[Step]:
    if report.by_gold:
        return []
    what = (
        "Have a hundred tags checked by somebody who knows, or give documents with right labels as "
        "`corpus.test`: only that tells how far the judge can be trusted."
    )
    return [(what, f"lmtx sample-for-review {shlex.quote(report.uri)} --output review.csv")]


def _judge(report: Report) -> list[Step]:
    steps = []
    if report.judge.get("precision", 1) < WEAK_JUDGE:
        what = "The judge is the limit: try a larger model or another prompt, and compare."
        steps.append((what, CHECK))
    pairs = sum(step.pairs for step in report.asked)
    unclear = sum(step.unclear for step in report.asked)
    if pairs and unclear / pairs > MANY_UNCLEAR:
        what = (
            f"{percent(unclear / pairs)} of the judge’s answers were neither yes nor no: its "
            "prompt or chat template may not fit (docs/judge.md)."
        )
        steps.append((what, CHECK))
    return steps


def _more(report: Report) -> list[Step]:
    steps = []
    if report.by_judge and report.ran == report.most == report.state:
        command = f"lmtx run CONFIG --set cycles.most={report.most + 1}"
        steps.append(("The last cycle was the best one: another may be better still.", command))
    no_gain = report.gain is not None and report.gain.low <= 0
    if report.by_judge and (report.state == 0 or no_gain):
        what = "Ask about more documents (`corpus.limit`) or more labels of each (`judge.top_k`)."
        steps.append((what, ""))
    if report.rejects.total:
        steps.append((f"Look at the {report.rejects.total:,} rejected rows below.", ""))
    return steps
