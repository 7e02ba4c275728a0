"""Learned fusion of a data set whose judge is simulated, for `benchmarks.calibration`.

The untouched encoder, words and the votes of judged neighbours, weighed as the product does. A
judge made of gold says yes to so many of the right and of the wrong labels. It is asked what the
default recipe asks: of documents to learn from the first labels of the hybrid ranking and of their
neighbours, of those held aside the first of every ranking, and labels drawn by chance.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import quality_methods as methods
from benchmarks.judge_calibration import stand_in
from benchmarks.judged_runs import Given, Lists, step
from benchmarks.quality_jobs import PREPARE, Job, Options, bench_of, prepare
from benchmarks.quality_judge import Judge, SimulatedJudge, Verdicts
from benchmarks.quality_sets import Document, Sizes, gold_of, texts_of
from benchmarks.quality_states import DEPTH, Bench, State
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.judge import JudgeConfig, TeacherConfig
from lmtx_ray.evaluation.combining import Combiners, SideLists, combined, fit_combiners
from lmtx_ray.evaluation.kindness import wrong_of
from lmtx_ray.evaluation.pair_features import Known
from lmtx_ray.loop.calibrating import WEIGHED
from lmtx_ray.search.memory import Memory, document_key
from lmtx_ray.teacher.chance import drawn
from lmtx_ray.teacher.protocol import QUESTIONS
from lmtx_ray.teacher.reading import decide

SEED, TOP_K = 1, 20
RATES = ((0.8, 0.3), (0.85, 0.05))  # yes of simulated judges to right and to wrong labels
JUDGES = 3  # of the same rates
SIZES = {"debtags": Sizes(934, 250, 0), "mesh-reviews": Sizes(900, 250, 700)}
CHANCE_K = JudgeConfig(teacher=TeacherConfig(kind="lexical")).chance_k
Own = list[tuple[str, SideLists]]


def bench(data: Path, work: Path, name: str, encoder: str) -> Bench:
    """What the untouched encoder and words find, kept in `work` for the next time."""
    config = EncoderConfig(model=encoder, max_tokens=128, token_budget=2048)
    options = Options(str(data), str(work), config, SIZES[name], {}, 1, TOP_K, 0.0, 0.0)
    for seed in (0, SEED):
        if not (work / f"{name}-{seed}.npz").exists():
            prepare(options, Job(name, seed, PREPARE))
    texts = texts_of(data / name, SEED, SIZES[name])
    return bench_of(options, Job(name, SEED, ""), texts, Path(tempfile.gettempdir()))


def given_of(data: Path, name: str, made: Bench, rates: tuple[float, float], seed: int) -> Given:
    """As if a run had asked a judge that says yes to `rates` of right and of wrong labels."""
    gold, state = gold_of(data / name), made.untouched()
    judge = SimulatedJudge(gold, seed, *rates)
    asked, held = Verdicts(made.documents("train")), Verdicts(made.documents("held"))
    memory = _remembered(made, state, asked, judge)
    lists = {part: _lists(made, state, memory, part) for part in ("held", "test")}
    held.ask(judge, methods._firsts(state["held"], memory.search(state["held"].vectors_BD, DEPTH)))
    combiners = fit_combiners(lists["held"], held.by_pair(), memory.histories, DEPTH)
    known = {part: _known(lists[part], combiners, memory, part == "held") for part in lists}
    firsts = [known["held"][doc_id].ranked[0][: methods.SELECTED].tolist() for doc_id in held.said]
    held.ask(judge, firsts)
    verdicts: dict[tuple[str, int], tuple[str, float | None]] = {
        pair: (decide(p_yes, None, 0.0), p_yes) for pair, p_yes in held.by_pair().items()
    }
    return Given(
        f"{name}, a judge of {rates[0]:.0%} and {rates[1]:.0%}",
        "untrained, learned",
        WEIGHED,
        Lists(known["held"]),
        Lists(known["test"]),
        list(known["held"]),
        list(known["test"]),
        verdicts,
        {doc_id: set(right) for doc_id, right in gold.items()},
        _wrong(judge, made.documents("held"), known["held"], len(made.texts.labels)),
    )


def _remembered(made: Bench, state: State, asked: Verdicts, judge: Judge) -> Memory:
    """Of two rounds: the hybrid's first labels, then the neighbours', too."""
    train, labels = state["train"], len(made.texts.labels)
    asked.ask(judge, methods._questions(train, None, TOP_K))
    memory = Memory(methods.remembered(asked, train.vectors_BD, labels))
    keys = [document_key(document.doc_id) for document in asked.documents]
    votes = memory.search(train.vectors_BD, DEPTH, keys)
    asked.ask(judge, methods._questions(train, votes, TOP_K))
    return Memory(methods.remembered(asked, train.vectors_BD, labels))


def _lists(made: Bench, state: State, memory: Memory, part: str) -> Own:
    votes = memory.search(state[part].vectors_BD, DEPTH)
    ids = [document.doc_id for document in made.documents(part)]
    return list(zip(ids, methods._lists(state[part], votes), strict=True))


def _known(own: Own, combiners: Combiners, memory: Memory, held: bool) -> dict[str, Known]:
    found = {}
    for doc_id, lists in own:
        combiner = combiners.of(doc_id, held)
        ids_K, scores_K = combined(lists, combiner, memory.histories, DEPTH)
        there_K = ids_K >= 0
        ranked = ids_K[there_K], scores_K[there_K]
        found[doc_id] = Known(ranked, lists.dense, lists.lexical, DEPTH)
    return found


def _wrong(
    judge: Judge, documents: Sequence[Document], known: dict[str, Known], labels: int
) -> float | None:
    pairs = []
    for document in documents:
        own = known[document.doc_id]
        assert own.lexical is not None
        found = {*own.dense[0].tolist(), *own.lexical[0].tolist()}
        pairs.append((document, drawn(document.doc_id, labels, found, CHANCE_K)))
    return wrong_of(np.concatenate(judge(pairs)))


def asked_by_chance(run: Path, given: Given) -> Given:
    """With what the stand-in judge says now of labels that no search found."""
    labels = step(run, "labels").read(["text"])["text"].to_pylist()
    known = dict(given.held.known(pa.array(given.held_ids)))
    rows = []
    for row in step(run, "documents").read(["doc_id", "title", "text"]).to_pylist():
        if own := known.get(row["doc_id"]):
            found = {*own.dense[0].tolist(), *(own.lexical or own.dense)[0].tolist()}
            ids = drawn(row["doc_id"], len(labels), found, CHANCE_K)
            rows.append({**row, "label_ids": ids, "label_texts": [labels[n] for n in ids]})
    said = stand_in().judge(pa.Table.from_pylist(rows, schema=QUESTIONS))
    return replace(given, wrong=wrong_of(said["p_yes"].to_numpy()))


def of_sets(arguments: argparse.Namespace) -> Iterator[tuple[str, Given]]:
    """Learned fusion of the named data sets, with simulated judges; and of the first
    kind of judge the set's name, else nothing."""
    for name in arguments.set:
        made = bench(arguments.data, arguments.work, name, arguments.encoder)
        for rates in RATES:
            for seed in range(1, JUDGES + 1):
                yield (
                    name if rates == RATES[0] else "",
                    given_of(arguments.data, name, made, rates, seed),
                )
