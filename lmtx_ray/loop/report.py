"""What a run achieved: metrics of every method on the test documents, and the plain-text table.

Gold labels are read here and nowhere else; nothing flows back from here into a cycle.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.evaluation import evaluation
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import EvaluationConfig, RunConfig
from lmtx_ray.search import candidates
from lmtx_ray.student.pseudo_labels import pair_report
from lmtx_ray.teacher.questions import judge_asks, select_asks, wanted_candidates

Metrics = dict[str, Any]
logger = logging.getLogger(__name__)


def method_rankings(layout: Layout, ran: int) -> dict[str, pa.Table]:
    """Row name -> test rankings, untrained rows first, then each cycle alone and fused."""
    test, untouched = layout.test, layout.states[0].test
    steps: dict[str, Dataset] = {
        "bm25": test.lexical,
        "encoder": untouched.dense,
        "hybrid": untouched.hybrid,
    }
    tables = {name: step.read() for name, step in steps.items()}
    if test.verdicts and ran:
        tables["judge_rerank"] = rerank(tables["hybrid"], test.verdicts.read())
    for state in layout.states[1 : ran + 1]:
        tables[f"cycle_{state.number}"] = state.test.dense.read()
        tables[f"cycle_{state.number}_hybrid"] = state.test.hybrid.read()
    return tables


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
    rankings: Mapping[str, pa.Table],
    gold: pa.Table,
    config: EvaluationConfig,
    exclude: frozenset[int] = frozenset(),
) -> dict[str, pa.Table]:
    """Row name -> per-document metric rows; `exclude` takes labels out of rankings and gold."""
    ks = {"P": config.precision_at, "R": config.recall_at, "nDCG": config.ndcg_at}
    return {
        name: evaluation.evaluate(table, gold, ks=ks, exclude=exclude)
        for name, table in rankings.items()
    }


def final_method(best: int, ranking: str) -> str:
    """The row of a state's `ranking`, "dense" or "hybrid"."""
    if best == 0:
        return "hybrid" if ranking == "hybrid" else "encoder"
    return f"cycle_{best}_hybrid" if ranking == "hybrid" else f"cycle_{best}"


def judge_summary(config: RunConfig, layout: Layout, ran: int) -> dict[str, Any]:
    """Pairs asked and saved, unclear answers and mean mass; precision, recall and AUC on judged
    test pairs. Saved are wanted pairs that an earlier step or the store had an answer to."""
    documents, wanted, tables = layout.documents.read(), 0, []
    for cycle in layout.cycles[:ran]:
        before, after = layout.states[cycle.number - 1], layout.states[cycle.number]
        steps = [
            (cycle.verdicts, before.corpus, judge_asks(config.judge, cycle.number == 1)),
            (cycle.selection, after.corpus, select_asks(config.judge)),
        ]
        for step, rankings, plan in steps:
            read = {"dense": rankings.dense.read(), "hybrid": rankings.hybrid.read()}
            candidates = wanted_candidates(documents, read, plan)
            wanted += sum(map(len, candidates.values()))
            tables.append(step.read())
    test = layout.test.verdicts.read() if ran and layout.test and layout.test.verdicts else None
    if test is not None:
        wanted += test.num_rows
        tables.append(test)
    if not tables:
        return {"asked": 0, "saved": 0, "unclear": 0}
    verdicts = pa.concat_tables(tables)
    asked = pc.sum(verdicts["asked"]).as_py() or 0
    mass = pc.mean(verdicts["mass"]).as_py()
    summary = {
        "asked": asked,
        "saved": wanted - asked,
        "unclear": pc.sum(pc.equal(verdicts["answer"], "unclear")).as_py() or 0,
        "mass": None if mass is None or layout.prompt.control else round(mass, 4),
    }
    if test is not None:
        summary |= pair_report(test, layout.test.gold.read())
    return summary


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
    text = "\nTest documents, per cent (* ships)\n"
    text += render_table(summary["methods"], metrics, summary["final"])
    if "methods_excluding" in summary:
        text += "\n\nThe same without the excluded labels\n"
        text += render_table(summary["methods_excluding"], metrics, summary["final"])
    return text


def costs(summary: dict[str, Any]) -> str:
    """One line on the judge, one on time."""
    judge = summary["judge"]
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
    total = sum(summary["seconds"].values())
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in summary["seconds"].items())
    return "\n".join([*lines, f"seconds: {total:.0f} ({parts})"])


def finished(config: RunConfig, layout: Layout) -> dict[str, Any] | None:
    """The summary of a run that is complete, printed again; None while something is left to do."""
    if not layout.evaluation.is_complete():
        return None
    logger.info("everything is complete: %s", layout.evaluation.uri)
    return show(config, read_summary(layout.evaluation))


def read_summary(step: Dataset) -> dict[str, Any]:
    """What the end of a run published."""
    return json.loads(step.read()["summary"][0].as_py())


def show(config: RunConfig, summary: dict[str, Any]) -> dict[str, Any]:
    """Print the summary as tables; returns it."""
    if "methods" in summary:
        print(tables(summary, metric_names(config.evaluation)))
    print(costs(summary))
    return summary
