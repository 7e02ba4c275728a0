"""What a run achieved: metrics of every method on the test documents, and the plain-text table.

Gold labels are prepared for this and read here; nothing flows back from here into a cycle.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.self_matches import Pairs, without
from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.rendering import gain_text, judged_text
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.alarms import members_agree, name_frequent, told
from lmtx_ray.loop.frequencies import ReadUnit
from lmtx_ray.loop.held_aside import verdict_steps
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.method_table import metric_names, tables
from lmtx_ray.loop.run_config import EvaluationConfig, RunConfig
from lmtx_ray.loop.shipping import UNTRAINED, final_method
from lmtx_ray.loop.steps import Cycle
from lmtx_ray.student.pseudo_labels import pair_report, probability
from lmtx_ray.teacher.questions import (
    Plan,
    judge_asks,
    learned_asks,
    select_asks,
    wanted_candidates,
)

RERANKED, ICXML = "judge_rerank", "icxml"
logger = logging.getLogger(__name__)


def method_steps(layout: Layout, ran: int) -> dict[str, Dataset]:
    """Row name -> test rankings, untrained rows first, then each cycle alone and fused."""
    test, untouched = layout.tested, layout.states[0].tested
    steps = {
        "bm25": test.lexical,
        "encoder": untouched.dense,
        "hybrid": untouched.hybrid,
    }
    if test.verdicts:
        steps[RERANKED] = untouched.hybrid  # in the judge's order
    if test.icxml:
        steps[ICXML] = test.icxml.mapped  # likewise
    for state in layout.states[1 : ran + 1]:
        for name, ranking in state.test_rankings.items():
            steps[final_method(state.number, name)] = ranking
    return steps


def judged_steps(layout: Layout) -> dict[str, Dataset]:
    """Row name -> verdicts on test documents that put its ranking in order."""
    test = layout.tested
    steps = {RERANKED: test.verdicts, ICXML: test.icxml.verdicts if test.icxml else None}
    return {name: step for name, step in steps.items() if step}


def calls_per_document(layout: Layout) -> dict[str, float]:
    """Row name -> questions to the judge that one test document takes at inference."""
    test = layout.tested
    documents = max(test.documents.rows(), 1)
    calls = {name: step.rows() for name, step in judged_steps(layout).items()}
    if test.icxml:
        written = test.icxml.phrases.read(["calls"])["calls"]
        calls[ICXML] += pc.sum(written).as_py() or 0
    return {name: round(count / documents, 2) for name, count in calls.items()}


def rerank(rankings: pa.Table, verdicts: pa.Table) -> pa.Table:
    """`rankings` with the judged candidates first, by P(yes) (see `probability`); the others keep
    their order. Scores are the P(yes) for judged candidates and negative ranks after them, so that
    they stay descending.
    """
    p_yes = {
        (row["doc_id"], row["label_id"]): probability(row["answer"], row["p_yes"])
        for row in verdicts.select(schemas.JUDGED).to_pylist()
    }
    doc_ids, ids, scores = [], [], []
    for row in rankings.to_pylist():
        labels = row["label_ids"]
        keys = [(row["doc_id"], label) for label in labels]
        values = [p_yes.get(key, -1.0 - rank) for rank, key in enumerate(keys)]
        order = np.argsort(-np.array(values), kind="stable")
        doc_ids.append(row["doc_id"])
        ids.append([labels[place] for place in order])
        scores.append([values[place] for place in order])
    table = pa.table({"doc_id": doc_ids, "label_ids": ids, "scores": scores})
    return schemas.conform(table, schemas.RANKINGS)


def unit_readers(layout: Layout, ran: int, never: Pairs | None = None) -> dict[str, ReadUnit]:
    """Row name -> what reads the rankings and the gold of one unit, both without the pairs of a
    document and a label that must `never` count."""
    gold = layout.tested.gold.unit_files()
    judged = {name: step.unit_files() for name, step in judged_steps(layout).items()}

    def reader(name: str, files: Mapping[str, str]) -> ReadUnit:
        def read(unit: str) -> tuple[pa.Table, pa.Table]:
            rankings = storage.read_table(files[unit])
            if name in judged:
                rankings = rerank(rankings, storage.read_table(judged[name][unit], schemas.JUDGED))
            right = storage.read_table(gold[unit])
            return (without(rankings, never), without(right, never)) if never else (rankings, right)

        return read

    steps = method_steps(layout, ran)
    return {name: reader(name, step.unit_files()) for name, step in steps.items()}


def method_rows(
    layout: Layout,
    readers: Mapping[str, ReadUnit],
    config: EvaluationConfig,
    exclude: frozenset[int] = frozenset(),
) -> dict[str, pa.Table]:
    """Row name -> per-document metric rows of what its `unit_readers` read; `exclude` takes labels
    out of rankings and gold. One unit of each ranking is in memory."""
    at = config.precision_at
    at = at if 1 in at else (*at, 1)  # table and report tell of the first label in any case
    ks = {"P": at, "R": config.recall_at, "nDCG": config.ndcg_at}
    return {
        name: pa.concat_tables(
            evaluation.evaluate(*read(unit), ks, exclude)
            for unit in layout.tested.gold.unit_files()
        )
        for name, read in readers.items()
    }


def judge_summary(config: RunConfig, layout: Layout, ran: int) -> dict[str, Any]:
    """Pairs asked and saved, unclear answers and mean mass; precision, recall and AUC on judged
    test pairs. Saved are wanted pairs that an earlier step or the store had an answer to."""
    steps = verdict_steps(layout, ran)
    judged = judged_steps(layout) if layout.test else {}
    if not steps and not judged:
        return {"asked": 0, "saved": 0, "unclear": 0}
    wanted = _wanted(config, layout, ran)
    others = [*judged.values(), *([layout.chance] if ran and layout.chance else [])]
    wanted += sum(step.rows() for step in others)
    steps += others
    asked, unclear, masses, mass = _counted(steps)
    summary: dict[str, Any] = {
        "asked": asked,
        "saved": wanted - asked,
        "unclear": unclear,
        "mass": round(mass / masses, 4) if masses and not layout.prompt.control else None,
    }
    summary["frequent"] = name_frequent(layout, ran, config.judge.frequent_share)
    if agree := members_agree(steps, config.judge.teacher):
        summary["agreement"] = agree
    if test := judged.get(RERANKED):
        summary |= pair_report(test.read([*schemas.JUDGED, "teacher"]), layout.tested.gold.read())
    return summary


def _counted(steps: Sequence[Dataset]) -> tuple[int, int, int, float]:
    """(pairs asked, unclear answers, answers with a mass, sum of masses) of verdicts."""
    asked = unclear = masses = 0
    mass = 0.0
    for step in steps:
        for table in step.tables(["asked", "answer", "mass"]):
            asked += pc.sum(table["asked"]).as_py() or 0
            unclear += pc.sum(pc.equal(table["answer"], "unclear")).as_py() or 0
            masses += table.num_rows - table["mass"].null_count
            mass += pc.sum(table["mass"]).as_py() or 0.0
    return asked, unclear, masses, mass


def _wanted(config: RunConfig, layout: Layout, ran: int) -> int:
    """How many pairs were worth a question over all cycles."""
    documents, total = layout.documents.unit_files(), 0
    for cycle in [cycle for cycle in layout.cycles[:ran] if cycle.asked]:
        for steps, plan in _asked_of(config, layout, cycle):
            files = {name: step.unit_files() for name, step in steps.items()}
            for unit, uri in documents.items():
                rankings = {
                    name: storage.read_table(own[unit], ["doc_id", "label_ids"])
                    for name, own in files.items()
                }
                read = storage.read_table(uri, ["doc_id", "split"])
                total += sum(map(len, wanted_candidates(read, rankings, plan).values()))
    return total


def _asked_of(
    config: RunConfig, layout: Layout, cycle: Cycle
) -> Iterator[tuple[Mapping[str, Dataset], Plan]]:
    """The rankings that a cycle asks about, with how far."""
    before, after = layout.states[cycle.number - 1], layout.states[cycle.number]
    yield before.candidates, judge_asks(config.judge, cycle.number == 1, bool(before.learned))
    yield after.candidates, select_asks(config.judge, bool(after.learned))
    if after.learned:
        yield {"learned": after.learned.corpus.ranked}, learned_asks(config.judge)


def costs(summary: dict[str, Any]) -> str:
    """One line on the judge, one on time."""
    judge = summary["judge"]
    if not judge["asked"] and "mass" not in judge:
        lines = [f"\n{_without_judge(summary)}; nobody has judged its tags"]
        return "\n".join([*lines, _times(summary["seconds"])])
    lines = [
        f"\njudge: {judge['asked']:,} pairs asked, {judge['saved']:,} saved by the store, "
        f"{judge['unclear']:,} unclear"
    ]
    if judge.get("mass") is not None:
        lines[0] += f", mean mass {judge['mass']:.2f}"
    if "auc" in judge:
        lines[0] += (
            f"; on test pairs precision {judge['precision']:.2f}, "
            f"recall {judge['recall']:.2f}, AUC {judge['auc']:.3f}"
        )
    return "\n".join([*lines, *told(judge), _times(summary["seconds"])])


def _without_judge(summary: Mapping[str, Any]) -> str:
    if summary["untrained"]:
        return "no judge: what ships is untrained hybrid search"
    return f"no judge: what ships was trained on the documents' own texts ({summary['source']})"


def _times(seconds: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {took:.0f}" for name, took in seconds.items())
    return f"seconds: {sum(seconds.values()):.0f} ({parts})"


def shipped(summary: dict[str, Any]) -> str:
    """What ships, why, and what the judge thinks of it; empty for a run of an earlier version."""
    if "shipped" not in summary:
        return ""
    lines = [summary["shipped"]["words"]]
    if summary.get("judged"):
        lines.append(judged_text(summary["judged"]))
    if summary["shipped"]["method"] != UNTRAINED and (gain := summary.get("gain_over_hybrid")):
        lines.append(gain_text(gain))
    return "\n" + "\n".join(lines)


def finished(config: RunConfig, layout: Layout) -> dict[str, Any] | None:
    """The summary of a run that is complete, printed again; None while something is left to do."""
    if not layout.evaluation.is_complete():
        return None
    logger.info("everything is complete: %s", layout.evaluation.uri)
    here = {"run": config.run, "bundle": layout.bundle.uri}  # its folder may have been moved
    return show(config, read_summary(layout.evaluation) | here)


def read_summary(step: PublishedFolder) -> dict[str, Any]:
    """What the end of a run published."""
    summary: dict[str, Any] = json.loads(step.read()["summary"][0].as_py())
    return summary


def show(config: RunConfig, summary: dict[str, Any]) -> dict[str, Any]:
    """Print the summary as tables; returns it."""
    if "methods" in summary:
        print(tables(summary, metric_names(config.evaluation)))
    print(shipped(summary) + costs(summary))
    return summary
