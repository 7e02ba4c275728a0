"""One run of `benchmarks.ablation`: a variant on one seed's documents of a set."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation_rankings import (
    Ranked,
    Ranking,
    after_training,
    of_first,
    ranked,
    untouched,
)
from benchmarks.ablation_training import Change, trained
from benchmarks.quality_jobs import Job, Options, bench_of
from benchmarks.quality_judge import Judge, SimulatedJudge, Verdicts, reranked
from benchmarks.quality_methods import RERANKED, published, remembered
from benchmarks.quality_sets import gold_of, texts_of
from benchmarks.quality_states import DEPTH, Bench, Side
from lmtx_ray.config.components import FitConfig
from lmtx_ray.evaluation.evaluation import MEASURES
from lmtx_ray.search.candidates import reciprocal_rank_fusion
from lmtx_ray.search.memory import VOTED, Memory, document_key

LAST = 5
COLUMNS = (("P", 1), ("P", 5), ("R", 10), ("R", 100))
AS_IT_IS = Change({"contrast": 1.0})  # the product's training
Counted = tuple[str, np.ndarray, int]  # a ranking with the pairs that were judged for it


@dataclass(frozen=True)
class Variant:
    """`fit` are settings of the product, `change` is what it lacks. `top_k` of the hybrid are asked
    about in each cycle (the last stands for later ones); with `neighbours` the lists that these
    are taken from have their labels too, from the second cycle on, and all of `top_k` are new.
    `part` of the documents to train on are asked about. `further` are more labels of that quarter
    of them whose last labels asked about had most yes."""

    fit: Mapping[str, Any] = field(default_factory=dict)
    change: Change = AS_IT_IS
    top_k: tuple[int, ...] = (20,)
    cycles: int = 2
    neighbours: bool = False
    part: float = 1.0
    further: int = 0


@dataclass(frozen=True)
class Run:
    """`variant` is None for the recipe as published."""

    set: str
    seed: int
    name: str
    variant: Variant | None


def run(options: Options, one: Run) -> dict[str, Any]:
    """Its rows, by name, with what was asked."""
    started = time.monotonic()
    folder = options.folder(one.set)
    texts = texts_of(folder, one.seed, options.sizes)
    gold = gold_of(folder, options.sizes.labels)
    truth = [gold[document.doc_id] for document in texts.test]
    judge = SimulatedJudge(gold, one.seed, options.true_yes, options.false_yes)
    with tempfile.TemporaryDirectory(dir=options.work) as made:
        bench = bench_of(options, Job(one.set, one.seed, ""), texts, Path(made))
        if one.variant is None:
            rows = _published(bench, judge, options, one.seed)
        else:
            rows = rankings(bench, judge, one.variant, _config(options, one))
        found = [(name, _measured(ids_BK, truth), calls) for name, ids_BK, calls in rows]
    return {
        **{"set": one.set, "seed": one.seed, "variant": one.name, "documents": len(texts.train)},
        "judged_pairs": found[-1][2],
        "training_seconds": round(bench.seconds, 1),
        "seconds": round(time.monotonic() - started, 1),
        "rows": {name: values for name, values, _ in found},
    }


def _config(options: Options, one: Run) -> FitConfig:
    given = one.variant.fit if one.variant else {}
    return FitConfig.model_validate({**options.fits["default"], **given, "seed": one.seed})


def _measured(ids_BK: np.ndarray, truth: Any) -> dict[str, float]:
    """In points of 100."""
    means = {f"{name}@{k}": MEASURES[name](ids_BK, truth, k).mean() for name, k in COLUMNS}
    return {name: round(100 * float(value), 2) for name, value in means.items()}


def _published(bench: Bench, judge: Judge, options: Options, seed: int) -> Iterator[Counted]:
    """The rows of `benchmarks.quality`, by the names of this benchmark."""
    for row in published(bench, judge, options.settings(seed)):
        *_, cycle, way = row.name.split()
        yield f"{'dense' if way == 'alone' else 'hybrid'} {cycle}", row.ids_BK, row.calls


def rankings(bench: Bench, judge: Judge, variant: Variant, config: FitConfig) -> Iterator[Counted]:
    """All rows of a variant, as its cycles end."""
    documents = bench.documents("train")
    count = round(variant.part * len(documents))
    asked, held = Verdicts(documents[:count]), Verdicts(bench.documents("held"))
    state = of_first(untouched(bench), count)
    for name, ids_BK in _before(bench, judge, state.sides["test"]):
        yield name, ids_BK, 0
    for cycle in range(1, variant.cycles + 1):
        _ask(judge, variant, cycle, state, asked, held)
        start = state.model if config.init == "previous" else bench.encoder.model
        folder = str(bench.folder / f"encoder-{cycle}")
        model = trained(bench, start, asked, config, variant.change, folder)
        state = of_first(ranked(bench, model), count)
        held.ask(judge, _first(state.sides["held"]))
        for name, ids_BK in _after(bench, state, asked, held):
            yield f"{name} {cycle}", ids_BK, asked.calls + held.calls


def _after(bench: Bench, state: Ranked, asked: Verdicts, held: Verdicts) -> Iterator[Ranking]:
    yield "dense", state.sides["test"].dense[0]
    yield "hybrid", state.sides["test"].fused_BK
    yield from after_training(bench, state, asked, held)


def _before(bench: Bench, judge: Judge, test: Side) -> Iterator[Ranking]:
    """What every variant begins with, and what asking the judge at inference would give."""
    yield "bm25", test.lexical[0]
    yield "dense 0", test.dense[0]
    yield "hybrid 0", test.fused_BK
    yield "judge re-ranking", reranked(judge, bench.documents("test"), test.fused_BK, RERANKED)[0]


def _ask(
    judge: Judge, variant: Variant, cycle: int, state: Ranked, asked: Verdicts, held: Verdicts
) -> None:
    """The questions of a cycle: of documents to train on, and of those held aside."""
    train, top_k = state.sides["train"], variant.top_k[min(cycle, len(variant.top_k)) - 1]
    if variant.neighbours and cycle > 1:
        lists_BK = _with_neighbours(train, asked, len(state.labels_LD))
        asked.ask(judge, lists_BK.tolist(), top_k * len(lists_BK))
    else:
        asked.ask(judge, train.fused_BK[:, :top_k].tolist())
    if variant.further:
        asked.ask(judge, _further(train.fused_BK, asked, top_k, variant.further))
    held.ask(judge, _first(state.sides["held"]))


def _further(lists_BK: np.ndarray, asked: Verdicts, top_k: int, further: int) -> list[list[int]]:
    """The next labels of those documents whose last LAST of `top_k` had most yes."""
    last_BK = lists_BK[:, max(top_k - LAST, 0) : top_k].tolist()
    pairs = zip(asked.documents, last_BK, strict=True)
    yes = [sum(asked.said[doc.doc_id].get(x, 0) > 0.5 for x in row) for doc, row in pairs]
    most = set(np.argsort(-np.array(yes), kind="stable")[: len(yes) // 4].tolist())
    next_BK = lists_BK[:, top_k : top_k + further].tolist()
    return [row if place in most else [] for place, row in enumerate(next_BK)]


def _first(side: Side) -> list[list[int]]:
    return side.fused_BK[:, :RERANKED].tolist()


def _with_neighbours(train: Side, asked: Verdicts, labels: int) -> np.ndarray:
    """Reciprocal rank fusion of three sides, the third the labels of other judged documents."""
    memory = Memory(remembered(asked, train.vectors_BD, labels))
    keys_B = [document_key(document.doc_id) for document in asked.documents]
    votes_BK, _ = memory.search(train.vectors_BD, VOTED, keys_B)
    return reciprocal_rank_fusion([train.dense[0], train.lexical[0], votes_BK], DEPTH)[0]
