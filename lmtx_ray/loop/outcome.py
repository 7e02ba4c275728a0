"""What a run achieved: metrics of every method on the test documents, and the plain-text table.

Gold labels are prepared for this and read here; nothing flows back from here into a cycle.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.rendering import gain_text, judged_text
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.alarms import members_agree, name_frequent, told
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import EvaluationConfig, RunConfig
from lmtx_ray.loop.shipping import UNTRAINED
from lmtx_ray.search import candidates
from lmtx_ray.student.pseudo_labels import pair_report
from lmtx_ray.teacher.questions import judge_asks, select_asks, wanted_candidates

Metrics = dict[str, Any]
RERANKED = "judge_rerank"
PAIRS = ("doc_id", "label_id", "p_yes")
logger = logging.getLogger(__name__)


def method_steps(layout: Layout, ran: int) -> dict[str, Dataset]:
    """Row name -> test rankings, untrained rows first, then each cycle alone and fused."""
    test, untouched = layout.tested, layout.states[0].tested
    steps = {
        "bm25": test.lexical,
        "encoder": untouched.dense,
        "hybrid": untouched.hybrid,
    }
    if test.verdicts and ran:
        steps[RERANKED] = untouched.hybrid  # in the judge's order
    for state in layout.states[1 : ran + 1]:
        steps[f"cycle_{state.number}"] = state.tested.dense
        steps[f"cycle_{state.number}_hybrid"] = state.tested.hybrid
    return steps


def rerank(rankings: pa.Table, verdicts: pa.Table) -> pa.Table:
    """`rankings` with the judged candidates first, by P(yes); the others keep their order.

    An unclear answer counts as 0.5. Scores are the P(yes) for judged candidates and negative
    ranks after them, so that they stay descending.
    """
    columns = verdicts.select(["doc_id", "label_id", "p_yes"]).to_pylist()
    p_yes = {(row["doc_id"], row["label_id"]): row["p_yes"] for row in columns}
    doc_ids, ids, scores = [], [], []
    for row in rankings.to_pylist():
        labels = row["label_ids"]
        keys = [(row["doc_id"], label) for label in labels]
        values = [
            (0.5 if p_yes[key] is None else p_yes[key]) if key in p_yes else -1.0 - rank
            for rank, key in enumerate(keys)
        ]
        order = np.argsort(-np.array(values), kind="stable")
        doc_ids.append(row["doc_id"])
        ids.append([labels[place] for place in order])
        scores.append([values[place] for place in order])
    width = max((len(labels) for labels in ids), default=0)
    ids_BK = np.full((len(ids), width), -1, dtype=np.int32)
    scores_BK = np.full((len(ids), width), -np.inf, dtype=np.float32)
    for place, labels in enumerate(ids):
        ids_BK[place, : len(labels)], scores_BK[place, : len(labels)] = labels, scores[place]
    return candidates.to_rankings(doc_ids, ids_BK, scores_BK)


def method_rows(
    layout: Layout, ran: int, config: EvaluationConfig, exclude: frozenset[int] = frozenset()
) -> dict[str, pa.Table]:
    """Row name -> per-document metric rows; `exclude` takes labels out of rankings and gold. One
    unit of each ranking is in memory."""
    ks = {"P": config.precision_at, "R": config.recall_at, "nDCG": config.ndcg_at}
    test = layout.tested
    gold = test.gold.unit_files()
    judged = test.verdicts.unit_files() if test.verdicts and ran else {}

    def of_unit(name: str, files: Mapping[str, str], unit: str) -> pa.Table:
        rankings = storage.read_table(files[unit])
        if name == RERANKED:
            rankings = rerank(rankings, storage.read_table(judged[unit], PAIRS))
        return evaluation.evaluate(rankings, storage.read_table(gold[unit]), ks, exclude)

    return {
        name: pa.concat_tables(of_unit(name, files, unit) for unit in gold)
        for name, step in method_steps(layout, ran).items()
        for files in [step.unit_files()]
    }


def judge_summary(config: RunConfig, layout: Layout, ran: int) -> dict[str, Any]:
    """Pairs asked and saved, unclear answers and mean mass; precision, recall and AUC on judged
    test pairs. Saved are wanted pairs that an earlier step or the store had an answer to."""
    if not ran:
        return {"asked": 0, "saved": 0, "unclear": 0}
    steps = [step for cycle in layout.cycles[:ran] for step in (cycle.verdicts, cycle.selection)]
    wanted = _wanted(config, layout, ran)
    test = layout.test.verdicts if layout.test else None
    if test:
        wanted += test.rows()
        steps.append(test)
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
    if test:
        summary |= pair_report(test.read([*PAIRS, "answer", "teacher"]), layout.tested.gold.read())
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
    for cycle in layout.cycles[:ran]:
        for state, plan in (
            (layout.states[cycle.number - 1], judge_asks(config.judge, cycle.number == 1)),
            (layout.states[cycle.number], select_asks(config.judge)),
        ):
            dense, hybrid = state.corpus.dense.unit_files(), state.corpus.hybrid.unit_files()
            for unit, uri in documents.items():
                rankings = {
                    name: storage.read_table(files[unit], ["doc_id", "label_ids"])
                    for name, files in (("dense", dense), ("hybrid", hybrid))
                }
                read = storage.read_table(uri, ["doc_id", "split"])
                total += sum(map(len, wanted_candidates(read, rankings, plan).values()))
    return total


def metric_names(config: EvaluationConfig) -> list[str]:
    """Columns of the table, as in the field: P@1 … R@10 … nDCG@5."""
    return [
        f"{name}@{k}"
        for name, ks in (
            ("P", config.precision_at),
            ("R", config.recall_at),
            ("nDCG", config.ndcg_at),
        )
        for k in ks
    ]


def render_table(methods: Mapping[str, Metrics], metrics: list[str], final: str) -> str:
    """Per cent, one line a method; the one that ships is marked with an asterisk."""
    width = max(len(name) for name in methods) + 2
    head = " " * width + "".join(f"{name:>9}" for name in metrics) + "   P@1, 95 % interval"
    lines = [head]
    for name, values in methods.items():
        mark = " *" if name == final else ""
        low, high = values.get("P@1_ci", (float("nan"), float("nan")))
        cells = "".join(f"{100 * values[metric]:9.1f}" for metric in metrics)
        lines.append(f"{name + mark:<{width}}{cells}   [{100 * low:.1f}, {100 * high:.1f}]")
    return "\n".join(lines)


def tables(summary: dict[str, Any], metrics: list[str]) -> str:
    """The table of all methods, and the same without the excluded labels."""
    which = (
        "Documents with gold, trained on without it"
        if summary.get("trained_on")
        else ("Test documents")
    )
    text = f"\n{which}, per cent (* ships)\n"
    text += render_table(summary["methods"], metrics, summary["final"])
    if "methods_excluding" in summary:
        text += "\n\nThe same without the excluded labels\n"
        text += render_table(summary["methods_excluding"], metrics, summary["final"])
    return text


def costs(summary: dict[str, Any]) -> str:
    """One line on the judge, one on time."""
    judge = summary["judge"]
    if not judge["asked"] and "mass" not in judge:
        lines = ["\nno judge: what ships is untrained hybrid search; nobody has judged its tags"]
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
    return show(config, read_summary(layout.evaluation))


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
