"""What the judge, and people who looked at some of its answers, think of a run's rankings on the
held-aside documents: evaluation without gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.evaluation.judged import Judged, Reviewed
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.finished_run import FinishedRun, verdict_names
from lmtx_ray.loop.held_aside import held_aside_in, verdict_steps
from lmtx_ray.loop.judges_answers import judges_answers, shown_labels
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.reviewed import reviews_of
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.shipping import state_of
from lmtx_ray.student.pseudo_labels import relative
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.questions import Key
from lmtx_ray.verdicts.reading import read_all
from lmtx_ray.verdicts.store import VerdictStore

VERDICTS = ("doc_id", "label_id", "answer", "p_yes", "prompt", "teacher")
RANKED = ("doc_id", "label_ids")
NOBODY = ("", "")


@dataclass(frozen=True)
class JudgedRun:
    """What of a run tells its judge's opinion: its documents and labels, and every step that asked,
    oldest first."""

    config: RunConfig
    documents: PublishedFolder
    labels: PublishedFolder
    verdicts: Sequence[PublishedFolder]

    @classmethod
    def of_layout(cls, config: RunConfig, layout: Layout, ran: int) -> JudgedRun:
        """Of a run that ends, after so many cycles."""
        return cls(config, layout.documents, layout.labels, verdict_steps(layout, ran))

    @classmethod
    def of_finished(cls, run: FinishedRun) -> JudgedRun:
        """Of a finished one."""
        asked = [run.steps[name] for name in verdict_names(run)]
        return cls(run.config, run.steps["documents"], run.steps["labels"], asked)

    @property
    def name(self) -> str:
        """What people call the judge."""
        return self.config.judge.teacher.model or self.config.judge.teacher.kind

    @property
    def prompt(self) -> Prompt:
        """What the judge was asked with."""
        return get_prompt(self.config.judge.teacher.prompt)

    def said(self, doc_ids: pa.Array) -> pa.Table:
        """All verdicts on these documents, as the run takes them (`relative`)."""
        tables = [step.where("doc_id", doc_ids, VERDICTS) for step in self.verdicts]
        return relative(pa.concat_tables(tables), self.config.pseudo_labels)

    def judge(self) -> tuple[str, str]:
        """(prompt, teacher) fingerprints of whom it asked; empty where people answered all."""
        for step in self.verdicts:
            for table in step.tables(["prompt", "teacher"]):
                for row in table.group_by(["prompt", "teacher"]).aggregate([]).to_pylist():
                    if row["teacher"] != HUMAN:
                        return row["prompt"], row["teacher"]
        return NOBODY

    def reading(self) -> tuple[object, ...]:
        """The settings by which an answer of the judge is a yes, a no or unclear."""
        judge = self.config.judge
        deviations = self.config.pseudo_labels.accept_deviations
        return judge.teacher.least_mass, judge.calibration, deviations


def judged_summary(run: JudgedRun, rankings: PublishedFolder, method: str) -> dict[str, Any] | None:
    """Precision of what ships by the judge's own opinion, with intervals: method, judge, documents,
    P@1 and P@k; `reviewed` says how often people and the judge agree, and `corrected` is the
    precision with the judge's error taken out, where people looked at its answers. None where
    nobody was asked."""
    if not run.verdicts:
        return None
    k = run.config.judge.select_k
    judged = judged_of(run, rankings, k)
    cuts = sorted({1, k})
    summary = {
        "method": method,
        "judge": run.name,
        "documents": len(judged.accepts_BK),
        **judged.precision(cuts),
        "by_people": int((judged.by_person_BK & judged.present_BK).sum()),
    }
    reviewed = reviewed_pairs(run)
    if reviewed.pairs:
        summary["reviewed"] = reviewed.to_dict()
        # a review changes no verdict of a run that is over, so people are asked for in the store
        said = reviews_of(run.config.verdict_store, run, held_aside_in(run.documents))
        seen = judged_of(run, rankings, k, said)
        if corrected := seen.corrected(reviewed, cuts):
            summary["corrected"] = corrected
    return summary


def opinion_of(run: FinishedRun) -> dict[str, Any]:
    """`judged_summary` of what a finished run ships, with what people said until now. Raises
    ConfigError for a run that asked nobody."""
    judged = JudgedRun.of_finished(run)
    summary = judged_summary(judged, shipped_rankings(run), run.summary["final"])
    if summary is None:
        raise ConfigError(f"{run.uri}: nobody judged in this run; give --gold")
    return summary


def shipped_rankings(run: FinishedRun, prefix: str = "") -> PublishedFolder:
    """The rankings that a finished run ships, of its documents, or of its test documents with the
    prefix "test "."""
    number, kind = state_of(run.summary["final"])
    return run.steps[f"{prefix}{kind} {number}"]


def judged_of(
    run: JudgedRun,
    rankings: PublishedFolder,
    k: int,
    people: Mapping[tuple[str, int], bool] = MappingProxyType({}),
) -> Judged:
    """The first k labels of the held-aside documents; what `people` said of a (doc_id, label_id)
    goes before the run's verdict."""
    held_aside = held_aside_in(run.documents)
    said = {(row["doc_id"], row["label_id"]): row for row in run.said(held_aside).to_pylist()}
    rows = rankings.where("doc_id", held_aside, RANKED).to_pylist()
    accepts, by_person, present = (np.zeros((len(rows), k), bool) for _ in range(3))
    for place, row in enumerate(rows):
        for rank, label in enumerate(row["label_ids"][:k]):
            pair = row["doc_id"], label
            verdict, right = said.get(pair, {}), people.get(pair)
            present[place, rank] = True
            accepts[place, rank] = verdict.get("answer") == "yes" if right is None else right
            by_person[place, rank] = verdict.get("teacher") == HUMAN or right is not None
    return Judged(accepts, by_person, present)


def reviewed_pairs(run: JudgedRun) -> Reviewed:
    """How the judge answered the pairs that people answered, whichever run asked for them."""
    people, judge = people_said(run.config.verdict_store), run.judge()
    if not people or judge == NOBODY:
        return Reviewed(0, 0, 0, 0)
    answers = judges_answers(run.config, judge, run.prompt, {document for document, _ in people})
    seen = _seen_by_name(run, {name for _, name in people})
    both = [
        (right, answers[document, label].answer == "yes")
        for (document, name), right in people.items()
        for label in [key for key in seen.get(name, [name]) if (document, key) in answers][:1]
    ]
    yes = [right for right, accepted in both if accepted]
    no = [right for right, accepted in both if not accepted]
    return Reviewed(len(yes), sum(yes), len(no), sum(no))


def people_said(store: VerdictStore) -> dict[Key, bool]:
    """(document, label) -> whether a person said yes; the newest answer counts."""
    answers: dict[Key, bool] = {}
    for table in read_all(store.human()):
        for row in table.select(["document", "label", "answer"]).to_pylist():
            answers.setdefault((row["document"], row["label"]), row["answer"] == "yes")
    return answers


def _seen_by_name(run: JudgedRun, names: set[bytes]) -> dict[bytes, list[bytes]]:
    """Key of a label's name -> keys of what the judge sees of the labels that are called so."""
    seen: dict[bytes, list[bytes]] = {}
    for label in shown_labels(run.labels, run.prompt):
        if (name := text_key(label.name)) in names:
            seen.setdefault(name, []).append(text_key(label.seen))
    return seen


def judge_said(
    run: JudgedRun, pairs: Sequence[tuple[bytes, str]]
) -> dict[tuple[bytes, str], tuple[float | None, str]]:
    """(key of a document's text, label key) -> (P(yes), answer) of the run's judge, of the pairs
    that the store has; whoever asked."""
    judge = run.judge()
    if judge == NOBODY:
        return {}
    shown = shown_labels(run.labels, run.prompt, {key for _, key in pairs})
    seen = {label.label_key: text_key(label.seen) for label in shown}
    answers = judges_answers(run.config, judge, run.prompt, {document for document, _ in pairs})
    return {
        (document, key): (own.p_yes, own.answer)
        for document, key in pairs
        if key in seen and (own := answers.get((document, seen[key])))
    }
