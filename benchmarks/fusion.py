"""Ways to make one ranking of three sides, on the rankings that one finished run published.

    python -m benchmarks.fusion RUN [--quick]

RUN is the folder of a finished run with test documents, gold and remembered documents. Of its last
cycle the encoder's, the words' and the neighbours' lists are fused by reciprocal ranks, and weighed
by weights that are fitted on what the judge said of held-aside documents (`evaluation.combining`),
with more or less of a label's history in the order. Nobody is asked, so it takes a minute; gold is
read to measure, and to choose nothing. The judge's own re-ranking is that of the run. `--quick` is
of the first 200 test documents.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judged_runs import step
from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.evaluation import combining, metrics
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.combining import SideLists, combined, fit_combiners
from lmtx_ray.evaluation.pair_features import LEARNED, by_document
from lmtx_ray.search.candidates import PADDING, reciprocal_rank_fusion
from lmtx_ray.search.memory import Memory

DEPTH = 100
VOTES = (0.0, 0.25, 0.5, 1.0, 2.0)  # weights beside 1 of the encoder and 1 of words
HISTORIES = (1.0, 0.5, 0.25, 0.0)  # parts of a history's weight that count in the order
SIDES = ("dense", "lexical", "votes")
Ranking = Callable[[SideLists], np.ndarray]


@dataclass(frozen=True)
class Given:
    """What a run left of its last cycle. `reranked` is the judge's row of its evaluation."""

    held: list[tuple[str, SideLists]]
    test: list[tuple[str, SideLists]]
    verdicts: dict[tuple[str, int], float]
    gold: dict[str, list[int]]
    memory: Memory
    reranked: dict[str, float]
    shipped: str


def read_run(run: Path) -> Given:
    """All of it."""
    summary = json.loads(step(run, "evaluation").read()["summary"][0].as_py())
    cycles = len(summary["selection"]) - 1
    gold = step(run, "test-gold").read().to_pylist()
    split = step(run, "documents").read(["doc_id", "split"]).to_pylist()
    held_ids = [row["doc_id"] for row in split if row["split"] == "held_aside"]
    names = [f"{kind}-{n + 1}" for n in range(cycles) for kind in ("verdicts", "selection")]
    names += [f"learned-selection-{n}" for n in range(1, cycles)]
    files = open_bundle(step(run, f"memory-{cycles}").uri)
    return Given(
        sides(run, "", cycles, held_ids),
        sides(run, "test-", cycles, [row["doc_id"] for row in gold if row["label_ids"]]),
        dict(verdicts(run, names, set(held_ids))),
        {row["doc_id"]: row["label_ids"] for row in gold},
        Memory.load(files.folder),
        summary["methods"].get("judge_rerank", {}),
        summary["final"],
    )


def sides(run: Path, kind: str, cycle: int, doc_ids: Sequence[str]) -> list[tuple[str, SideLists]]:
    steps = (f"{kind}dense-{cycle}", f"{kind}lexical", f"{kind}votes-{cycle}")
    lists = [by_document(step(run, name).read(["doc_id", "label_ids", "scores"])) for name in steps]
    return [(doc_id, SideLists(*(one[doc_id] for one in lists))) for doc_id in doc_ids]


def verdicts(
    run: Path, names: Sequence[str], held: set[str]
) -> Iterator[tuple[tuple[str, int], float]]:
    for name in names:
        for row in step(run, name).read(["doc_id", "label_id", "answer", "p_yes"]).to_pylist():
            if row["doc_id"] in held and row["answer"] != "unclear":
                p_yes = row["p_yes"]
                said = float(row["answer"] == "yes") if p_yes is None else p_yes
                yield (row["doc_id"], row["label_id"]), said


def by_ranks(votes: float) -> Ranking:
    """Reciprocal rank fusion, with votes of this weight."""

    def ranked(lists: SideLists) -> np.ndarray:
        found = [padded(getattr(lists, side)[0])[None] for side in SIDES]
        return reciprocal_rank_fusion(found, DEPTH, weights=[1.0, 1.0, votes])[0][0]

    return ranked


def padded(ids_K: np.ndarray) -> np.ndarray:
    ids_D = np.full(DEPTH, PADDING, np.int32)
    ids_D[: len(ids_K)] = ids_K[:DEPTH]
    return ids_D


def weighed(given: Given, weights: Calibration) -> Ranking:
    return lambda lists: combined(lists, weights, given.memory.histories, DEPTH)[0]


def fitted(given: Given, history: float) -> Calibration:
    """The product's weights, with this part of the history's."""
    kept, combining.HISTORY = combining.HISTORY, history
    try:
        return fit_combiners(given.held, given.verdicts, given.memory.histories, DEPTH).whole
    finally:
        combining.HISTORY = kept


def without_history(given: Given) -> Calibration:
    """Weights that were fitted as if no label had a history."""
    found = fit_combiners(given.held, given.verdicts, lambda ids_K: np.zeros(len(ids_K)), DEPTH)
    weights = [
        0.0 if name == "history" else weight
        for name, weight in zip(LEARNED, found.whole.weights, strict=True)
    ]
    return replace(found.whole, weights=tuple(weights))


def measured(given: Given, ranking: Ranking) -> dict[str, float]:
    """Of the test documents."""
    ids_BK = np.stack([ranking(lists) for _, lists in given.test])
    truth = [given.gold[doc_id] for doc_id, _ in given.test]
    found = {
        "P@1": metrics.precision_at_k(ids_BK, truth, 1),
        "P@5": metrics.precision_at_k(ids_BK, truth, 5),
        "R@10": metrics.recall_at_k(ids_BK, truth, 10),
        "R@100": metrics.recall_at_k(ids_BK, truth, 100),
    }
    return {name: round(float(values_B.mean()), 4) for name, values_B in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--quick", action="store_true", help="200 test documents")
    arguments = parser.parse_args()
    given = read_run(arguments.run)
    if arguments.quick:
        given = replace(given, test=given.test[:200])
    rows = {f"reciprocal ranks, votes {weight:g}": by_ranks(weight) for weight in VOTES}
    for part in HISTORIES:
        rows[f"weighed, {part:g} of the history"] = weighed(given, fitted(given, part))
    rows["weighed, fitted without history"] = weighed(given, without_history(given))
    table: dict[str, Any] = {name: measured(given, ranking) for name, ranking in rows.items()}
    whole: dict[str, Any] = {
        name: given.reranked[name] for name in ("P@1", "R@10") if name in given.reranked
    }
    for name, row in {"the judge's re-ranking (all documents)": whole, **table}.items():
        print(f"{name:40}", *(f"{column} {100 * value:5.1f}" for column, value in row.items()))
    own = table[f"weighed, {combining.HISTORY:g} of the history"]
    asked = [
        {"what": f"{name}, less that of the judge's re-ranking", "value": round(gain, 4)}
        | {"wanted": f"at least {least}", "met": gain >= least}
        for name, least in (("P@1", 0.0), ("R@10", 0.02))
        if name in whole
        for gain in [own[name] - whole[name]]
    ]
    print(json.dumps({"ships": given.shipped, "rows": table, "asked": asked}))


if __name__ == "__main__":
    main()
