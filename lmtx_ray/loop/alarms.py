"""What of a judge's answers looks wrong from numbers alone: labels that it accepts for too large a
share of all documents, and members of an ensemble that do not agree."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.layout import Layout
from lmtx_ray.teacher.ensemble import agreement, names_of

logger = logging.getLogger(__name__)
FEWEST = 20  # documents; of fewer no share is implausible
MOST_NAMED = 20
ADVICE = "look at lmtx report and lmtx verdicts export for what it was asked"


def frequent_labels(
    steps: Sequence[PublishedFolder], documents: int, labels: int, share: float
) -> dict[int, int]:
    """label_id -> documents for which a judge accepted it, of labels accepted for more than `share`
    of all `documents`, the most frequent first. Answers of people do not count. One unit of the
    verdicts is in memory."""
    if share >= 1 or documents < FEWEST:
        return {}
    accepted_L = np.zeros(labels, np.int64)
    for step in steps:
        for table in step.tables(["label_id", "answer", "teacher"]):
            said = pc.and_(pc.equal(table["answer"], "yes"), pc.not_equal(table["teacher"], HUMAN))
            accepted_L += np.bincount(table.filter(said)["label_id"].to_numpy(), minlength=labels)
    most = np.argsort(-accepted_L, kind="stable")[:MOST_NAMED].tolist()
    return {
        label: int(accepted_L[label]) for label in most if accepted_L[label] > share * documents
    }


def name_frequent(layout: Layout, ran: int, share: float) -> list[dict[str, Any]]:
    """Labels accepted for an implausible share of the documents that were asked about, with key,
    name, documents and share; each one is a warning in the log, by its key."""
    asking = [cycle for cycle in layout.cycles[:ran] if cycle.asked]
    steps = [step for cycle in asking for step in (cycle.verdicts, cycle.selection)]
    documents = layout.documents.rows()
    found = frequent_labels(steps, documents, layout.labels.rows(), share) if steps else {}
    if not found:
        return []
    ids = pa.array(list(found), pa.int32())
    table = layout.labels.where("label_id", ids, ["label_id", "label_key", "text"])
    rows = {row["label_id"]: row for row in table.to_pylist()}
    named = [
        {
            "label_key": rows[label]["label_key"],
            "label": rows[label]["text"],
            "documents": count,
            "share": round(count / documents, 4),
        }
        for label, count in found.items()
    ]
    logger.warning(
        "the judge accepted %d labels for more than %.0f %% of all documents (%s): %s",
        len(named),
        100 * share,
        ", ".join(f"{one['label_key']} {one['share']:.0%}" for one in named[:5]),
        ADVICE,
    )
    return named


def members_agree(steps: Iterable[PublishedFolder], teacher: TeacherConfig) -> list[dict[str, Any]]:
    """Of each two members of an ensemble how they agree over a run's verdicts (see `agreement`);
    nothing of any other judge."""
    if teacher.kind != "ensemble":
        return []
    raws = (
        raw
        for step in steps
        for table in step.tables(["raw", "teacher"])
        for raw in table.filter(pc.not_equal(table["teacher"], HUMAN))["raw"].to_pylist()
        if raw
    )
    return agreement(raws, names_of(teacher))


def told(summary: Mapping[str, Any]) -> list[str]:
    """Both as lines for a terminal; `summary` is that of the judge."""
    lines = [
        f"{' and '.join(one['members'])} agree on {one['equal']:.0%} of {one['pairs']:,} pairs"
        + ("" if one["kappa"] is None else f" (kappa {one['kappa']:.2f})")
        for one in summary.get("agreement", ())
        if one["pairs"]
    ]
    if frequent := summary.get("frequent"):
        named = ", ".join(f"{one['label']} ({one['share']:.0%})" for one in frequent[:5])
        more = f" and {len(frequent) - 5} more" if len(frequent) > 5 else ""
        lines.append(f"accepted for an implausible share of documents: {named}{more}; {ADVICE}")
    return lines
