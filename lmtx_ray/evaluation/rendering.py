"""Numbers of an evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def per_cent(value: float | None) -> str:
    """62.7; a dash for what is not known."""
    return "–" if value is None else f"{100 * value:.1f}"


def interval(ends: Sequence[float] | None) -> str:
    """[59.1, 66.0]"""
    return "" if ends is None else f"[{per_cent(ends[0])}, {per_cent(ends[1])}]"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows under each other; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def metric_table(summary: Mapping[str, Any]) -> str:
    """A line for each metric of a summary that has an interval, as far as documents have tags."""
    names = [name for name in summary if f"{name}_ci" in summary]
    most = summary["most_tags"]
    names = [name for name in names if int(name.rpartition("@")[2]) <= most] or names[:1]
    rows = [["", "per cent", "95 % interval"]]
    rows += [[name, per_cent(summary[name]), interval(summary[f"{name}_ci"])] for name in names]
    return columns(rows)


def threshold_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """A line for each threshold of `thresholds.at_thresholds`."""
    head = ["probability", "tags/document", "precision", "", "recall", "", "F1", ""]
    rows = [[*head, "mean P", "mean R", "mean F1"]]
    for entry in entries:
        cells = [f"≥ {entry['threshold']:g}", f"{entry['tags_per_document']:.2f}"]
        for name in ("precision", "recall", "f1"):
            cells += [per_cent(entry[name]), interval(entry[f"{name}_ci"])]
        cells += [per_cent(entry[f"macro_{name}"]) for name in ("precision", "recall", "f1")]
        rows.append(cells)
    return columns(rows)


def evaluation_text(summary: Mapping[str, Any]) -> str:
    """What `lmtx evaluate` found, for people."""
    parts = [_matched(summary), metric_table(summary)]
    if summary.get("thresholds"):
        parts.append(
            "If only tags of some probability and more are kept; the last three columns are means "
            f"over documents.\nDocuments have at most {summary['most_tags']} tags: what is beyond "
            "those is not found here.\n\n" + threshold_table(summary["thresholds"])
        )
    return "\n\n".join(parts)


def _matched(summary: Mapping[str, Any]) -> str:
    gold = summary["gold"]
    lines = [
        f"{_counted(summary['matched'], 'document')} with both tags and gold; "
        f"gold: {gold['labels']:,} labels of {_counted(gold['documents'], 'document')}"
    ]
    missing, spare = summary["only_gold"], summary["only_tags"]
    if missing["documents"]:
        fate = "left out" if summary["documents"] <= summary["matched"] else "counted as wrong"
        lines.append(_side("with gold and no tags", missing, fate))
    if spare["documents"]:
        lines.append(_side("with tags and no gold", spare, "left out"))
    if gold["without_labels"]:
        without = _counted(gold["without_labels"], "document")
        lines.append(f"{without} of the gold without any label: left out")
    if gold["rejected"]:
        lines.append(f"rejected of the gold, labels or whole rows: {gold['rejected']:,}; such as")
        lines += [f"  {reject}" for reject in gold["rejects"]]
    return "\n".join(lines)


def _side(what: str, side: Mapping[str, Any], fate: str) -> str:
    examples = ", ".join(map(repr, side["examples"]))
    return f"{_counted(side['documents'], 'document')} {what}: {fate} (such as {examples})"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def comparison_text(found: Mapping[str, Any]) -> str:
    """What `lmtx compare` found, for people."""
    rows = [["", "A", "B", "B - A", "95 % interval", ""]]
    for name, told in found["metrics"].items():
        ends = [f"{100 * end:+.1f}" for end in told["difference_ci"]]
        verdict = "" if told["sure"] else "may be chance"
        sides = [per_cent(told[side]) for side in ("a", "b")]
        difference = f"{100 * told['difference']:+.1f}"
        rows.append([name, *sides, difference, f"[{', '.join(ends)}]", verdict])
    head = (
        f"A: {found['a']}\nB: {found['b']}\n"
        f"{found['documents']:,} documents, per cent; measured by {found['by']}"
    )
    if left_out := found.get("filtered"):
        head += f"; {left_out['pairs']:,} self-matches left out"
    examples = [_changed(example) for example in found["examples"]]
    where = "where they differ most (+ only in B, - only in A)\n" if examples else ""
    return f"{head}\n\n{columns(rows)}\n\n{where}" + "\n".join(examples)


def _changed(example: Mapping[str, Any]) -> str:
    lines = [f"{example['doc_id']}  {example['title'] or ''}".rstrip()]
    first, second = (_tag(tag) for tag in example["first"])
    if first != second:
        lines.append(f"    first: {first} → {second}")
    for mark, side in (("+", "gained"), ("-", "lost")):
        lines += [f"    {mark} {_tag(tag)}" for tag in example[side]]
    return "\n".join(lines)


def _tag(tag: Mapping[str, Any] | None) -> str:
    if tag is None:
        return "none"
    worth = {True: " (right)", False: " (wrong)", None: ""}
    return f"{tag['label']}{worth[tag['right']]}"


def judged_text(judged: Mapping[str, Any]) -> str:
    """A judge's own opinion of what ships, named as such."""
    text = (
        f"by its judge's own opinion (no gold; {judged['judge']}, {judged['documents']} held-aside "
        f"documents) {judged['method']} has {_cuts(judged)}"
    )
    reviewed = judged.get("reviewed")
    if not reviewed:
        return text
    text += f"\npeople looked at {reviewed['pairs']} of its answers and agree with " + (
        f"{per_cent(reviewed['accuracy'])} %"
    )
    if judged.get("corrected"):
        text += f"; corrected by that: {_cuts(judged['corrected'])}"
    return text


def _cuts(told: Mapping[str, Any]) -> str:
    names = [name for name in told if f"{name}_ci" in told]
    return ", ".join(
        f"{name} {per_cent(told[name])} % {interval(told[f'{name}_ci'])}" for name in names
    )


def review_text(found: Mapping[str, Any]) -> str:
    """What `lmtx review-score` found, for people."""
    rows = [["probability", "tags", "reviewed", "right", "precision", "95 % interval"]]
    for band in found["bands"]:
        counts = [f"{band[name]:,}" for name in ("tags", "reviewed", "right")]
        name = band["band"] or "not known"
        rows.append([name, *counts, per_cent(band["precision"]), interval(band["precision_ci"])])
    lines = [
        f"{found['reviewed']} of {found['sampled']} tags reviewed",
        columns(rows),
        f"of all {found['tags']:,} tags {per_cent(found['precision'])} % are right "
        f"{interval(found['precision_ci'])}, each band weighed by its tags",
    ]
    if found["not_covered"]:
        lines.append(
            f"{found['not_covered']:,} of them are in bands that nobody looked at: left out"
        )
    return "\n".join([*lines, _agreement_text(found["judge"]), _suggestion(found["suggestion"])])


def _agreement_text(judge: Mapping[str, Any]) -> str:
    if not judge["pairs"]:
        return "the judge said nothing of these tags"
    kappa = "–" if judge["kappa"] is None else f"{judge['kappa']:.2f}"
    return (
        f"people and the judge agree on {per_cent(judge['accuracy'])} % "
        f"{interval(judge['accuracy_ci'])} of {judge['pairs']} tags, Cohen's kappa {kappa}"
    )


def _suggestion(found: Mapping[str, Any]) -> str:
    wrong = f"at most {100 * found['wrong_at_most']:g} % of the tags wrong"
    if found["threshold"] is None:
        return f"{wrong}: no probability gets there; better tags or more reviewed ones are needed"
    text = (
        f"{wrong}: keep tags of a probability of {found['threshold']:g} and more; "
        f"{per_cent(found['precision'])} % of those are right {interval(found['precision_ci'])}, "
        f"{per_cent(found['share_of_tags'])} % of all tags are left"
    )
    sure = found["sure_threshold"]
    if sure is None:
        return f"{text}; that may still be chance: review more of the likely tags"
    return text if sure == found["threshold"] else f"{text}; for sure only from {sure:g} on"


def gain_text(gain: Mapping[str, Any]) -> str:
    """What training brings over the untrained hybrid against gold, or that it may be chance."""
    told = []
    for name in (name for name in gain if f"{name}_ci" in gain):
        low, high = gain[f"{name}_ci"]
        chance = "" if low > 0 or high < 0 else ", may be chance"
        ends = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        told.append(f"{name} {100 * gain[name]:+.1f} points {ends}{chance}")
    return f"against gold, over the untrained hybrid: {'; '.join(told)}"
