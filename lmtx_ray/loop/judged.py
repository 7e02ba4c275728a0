"""What the judge, and people who looked at some of its answers, think of a run's rankings on the
held-aside documents: evaluation without gold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.evaluation.judged import Judged, Reviewed
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.held_aside import held_aside_ids, held_aside_verdicts
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.shipping import Choice
from lmtx_ray.student.pseudo_labels import relative
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.reading import read_all

VERDICTS = ("doc_id", "label_id", "answer", "p_yes", "teacher")
RANKED = ("doc_id", "label_ids")
Key = tuple[bytes, bytes]


def judged_summary(config: RunConfig, layout: Layout, ran: int, choice: Choice) -> dict[str, Any]:
    """Precision of what ships by the judge's own opinion, with intervals: method, judge, documents,
    k, P@1 and P@k; `reviewed` says how often people and the judge agree, and `corrected` is the
    precision with the judge's error taken out, where people looked at its answers."""
    rankings = rankings_of(layout, choice)
    k = config.judge.select_k
    judged = judged_of(config, layout, ran, rankings, k)
    cuts = sorted({1, k})
    summary = {
        "method": choice.method,
        "judge": judge_name(config),
        "documents": len(judged.accepts_BK),
        **judged.precision(cuts),
        "by_people": int(judged.by_person_BK.sum()),
    }
    reviewed = reviewed_pairs(config, layout)
    if reviewed.pairs:
        summary["reviewed"] = reviewed.to_dict()
        if corrected := judged.corrected(reviewed, cuts):
            summary["corrected"] = corrected
    return summary


def judge_name(config: RunConfig) -> str:
    """What people call the judge."""
    return config.judge.teacher.model or config.judge.teacher.kind


def rankings_of(layout: Layout, choice: Choice) -> Dataset:
    """The rankings of all documents that ship."""
    made = layout.states[choice.number].corpus
    return made.hybrid if choice.ranking == "hybrid" else made.dense


def verdicts_on(
    config: RunConfig, layout: Layout, ran: int, doc_ids: pa.Array
) -> dict[tuple[str, int], dict[str, Any]]:
    """(doc_id, label_id) -> answer, p_yes and teacher of what was said of these documents."""
    said = held_aside_verdicts(layout, ran, doc_ids, VERDICTS)
    judged = relative(said, config.pseudo_labels)
    return {(row["doc_id"], row["label_id"]): row for row in judged.to_pylist()}


def judged_of(config: RunConfig, layout: Layout, ran: int, rankings: Dataset, k: int) -> Judged:
    """The first k labels of the held-aside documents."""
    held_aside = held_aside_ids(layout)
    verdicts = verdicts_on(config, layout, ran, held_aside)
    rows = rankings.where("doc_id", held_aside, RANKED).to_pylist()
    accepts, by_person, present = (np.zeros((len(rows), k), bool) for _ in range(3))
    for place, row in enumerate(rows):
        for rank, label in enumerate(row["label_ids"][:k]):
            verdict = verdicts.get((row["doc_id"], label), {})
            present[place, rank] = True
            accepts[place, rank] = verdict.get("answer") == "yes"
            by_person[place, rank] = verdict.get("teacher") == HUMAN
    return Judged(accepts, by_person, present)


def reviewed_pairs(config: RunConfig, layout: Layout) -> Reviewed:
    """How the judge answered the pairs that people answered, whatever run asked for them."""
    people = _people(config)
    if not people:
        return Reviewed(0, 0, 0, 0)
    prompt, teacher = layout.judge
    lookup = Lookup(config.verdict_store.partition(teacher, prompt).snapshot())
    names = _names_by_seen(layout)
    answers: dict[Key, str] = {}
    for row in lookup.find({document for document, _ in people}).to_pylist():
        key = row["document"], names.get(row["label"], row["label"])
        answers.setdefault(key, row["answer"])
    both = [(people[key], answers[key] == "yes") for key in people if key in answers]
    yes = [right for right, accepted in both if accepted]
    no = [right for right, accepted in both if not accepted]
    return Reviewed(len(yes), sum(yes), len(no), sum(no))


def _people(config: RunConfig) -> dict[Key, bool]:
    """(document, label) -> whether a person said yes; the newest answer counts."""
    answers: dict[Key, bool] = {}
    for table in read_all(config.verdict_store.human()):
        for row in table.select(["document", "label", "answer"]).to_pylist():
            answers.setdefault((row["document"], row["label"]), row["answer"] == "yes")
    return answers


def _names_by_seen(layout: Layout) -> dict[bytes, bytes]:
    """Key of what the judge sees of a label -> key of its name, where they differ."""
    names: dict[bytes, bytes] = {}
    for file in layout.labels.files():
        for row in storage.read_table(file).to_pylist():
            seen = layout.prompt.label_text(row)
            if seen != row["text"]:
                names[text_key(seen)] = text_key(row["text"])
    return names
