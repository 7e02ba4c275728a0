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
    """A line for each metric of a summary that has an interval."""
    names = [name for name in summary if f"{name}_ci" in summary]
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
        most = summary["most_tags"]
        parts.append(
            "If only tags of a probability and more are kept (the first three over all tags "
            f"together, the last three as means over documents; at most {most} tags a document)\n"
            + threshold_table(summary["thresholds"])
        )
    return "\n\n".join(parts)


def _matched(summary: Mapping[str, Any]) -> str:
    gold = summary["gold"]
    lines = [
        f"{summary['matched']:,} documents have both tags and gold; "
        f"gold: {gold['labels']:,} labels of {gold['documents']:,} documents"
    ]
    missing, spare = summary["only_gold"], summary["only_tags"]
    if missing["documents"]:
        fate = "left out" if summary["documents"] <= summary["matched"] else "they count as wrong"
        lines.append(_side("have gold and no tags", missing, fate))
    if spare["documents"]:
        lines.append(_side("have tags and no gold", spare, "left out"))
    if gold["without_labels"]:
        lines.append(f"{gold['without_labels']:,} documents of the gold have no label: left out")
    if gold["rejected"]:
        lines.append(f"{gold['rejected']:,} labels or rows of the gold are rejected:")
        lines += [f"  {reject}" for reject in gold["rejects"]]
    return "\n".join(lines)


def _side(what: str, side: Mapping[str, Any], fate: str) -> str:
    examples = ", ".join(map(repr, side["examples"]))
    return f"{side['documents']:,} documents {what}: {fate} (such as {examples})"


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
    examples = [_changed(example) for example in found["examples"]]
    where = "where they differ most (+ only in B, - only in A)\n" if examples else ""
    return f"{head}\n\n{columns(rows)}\n\n{where}" + "\n".join(examples)


def _changed(example: Mapping[str, Any]) -> str:
    lines = [f"{example['doc_id']}  {example['title'] or ''}".rstrip()]
    for mark, side in (("+", "gained"), ("-", "lost")):
        lines += [f"    {mark} {tag['label']}{_worth(tag['right'])}" for tag in example[side]]
    return "\n".join(lines)


def _worth(right: bool | None) -> str:
    return "" if right is None else " (right)" if right else " (wrong)"


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
