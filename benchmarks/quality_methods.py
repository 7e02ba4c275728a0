"""The methods that `benchmarks.quality` compares. Each gives rows of its table: a name and the
labels it ranks first for every test document. None is given gold; a judge is a function to them.

Shapes: B documents, K candidates, N documents trained on, L labels, P accepted pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from benchmarks.quality_judge import Judge, Verdicts, reranked
from benchmarks.quality_sets import Document
from benchmarks.quality_states import DEPTH, Bench, Side, State
from lmtx_ray.config.components import FitConfig, PseudoLabelConfig
from lmtx_ray.evaluation.combining import SideLists, combined, fit_combiners
from lmtx_ray.search import clustering
from lmtx_ray.search.candidates import Candidates, to_rankings
from lmtx_ray.search.memory import Judged, Memory, Remembered, document_key
from lmtx_ray.student.pseudo_labels import build_examples
from lmtx_ray.student.text_examples import own_examples, segment_examples, title_examples

RERANKED = 20
SELECTED = 3  # first labels of each ranking that a held-aside document is asked about
PUBLISHED_TOP = 10  # labels of a document that the paper's judge is asked about in each cycle


@dataclass(frozen=True)
class Row:
    """`calls` of the judge before any document is tagged, and `calls_each` for each that is;
    `seconds` of training."""

    name: str
    ids_BK: np.ndarray
    calls: int = 0
    calls_each: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Settings:
    """`top_k` of the hybrid are asked about, and half as many of the neighbours' labels."""

    default: FitConfig
    paper: FitConfig
    title: FitConfig
    segment: FitConfig
    cycles: int = 2
    top_k: int = 20
    pseudo_labels: PseudoLabelConfig = field(default_factory=PseudoLabelConfig)


def search(bench: Bench, judge: Judge, settings: Settings) -> Iterator[Row]:
    """What needs no training."""
    test = bench.untouched(["test"])["test"]
    yield Row("bm25", test.lexical[0])
    yield Row("untouched encoder", test.dense[0])
    yield Row("hybrid", test.fused_BK)
    moved_BK, calls = reranked(judge, bench.documents("test"), test.fused_BK, RERANKED)
    yield Row("judge re-ranking", moved_BK, calls_each=calls / len(moved_BK))


def title(bench: Bench, judge: Judge, settings: Settings) -> Iterator[Row]:
    """MACLR: title and text, then its own first labels."""
    config, documents = settings.title, _table(bench.documents("train"))
    vectors_ND = bench.vectors["train"]
    scales = clustering.centres(vectors_ND, config.clusters, config.seed)
    nearest = [clustering.nearest(vectors_ND, centres_KD) for centres_KD in scales]
    clusters = np.stack(nearest, axis=1).tolist() if nearest else [[] for _ in vectors_ND]
    examples = title_examples(documents, clusters)
    model = bench.trained(bench.encoder.model, examples, config)
    state = bench.state(model, ["train", "test"])
    yield from _alone_and_fused("title 1", state["test"], bench, 0)
    doc_ids, train, rules = documents["doc_id"].to_pylist(), state["train"], settings.pseudo_labels
    rankings = [to_rankings(doc_ids, *side) for side in (train.dense, train.lexical)]
    examples = own_examples(documents, rankings, (rules.own_labels, rules.own_words))
    model = bench.trained(model, examples, config)
    yield from _alone_and_fused("title 2", bench.state(model, ["test"])["test"], bench, 0)


def segment(bench: Bench, judge: Judge, settings: Settings) -> Iterator[Row]:
    """RTS: segments of texts, and titles."""
    examples = segment_examples(_table(bench.documents("train")), settings.segment.segment_words)
    model = bench.trained(bench.encoder.model, examples, settings.segment)
    yield from _alone_and_fused("segment", bench.state(model, ["test"])["test"], bench, 0)


def published(bench: Bench, judge: Judge, settings: Settings) -> Iterator[Row]:
    """LMTX as published: its judge sees the nearest ten. Once more with a warm-up that ends, as a
    small corpus has fewer steps than the published one has."""
    for name, warmup in (("published", settings.paper.warmup), ("warm-up 0.1", 0.1)):
        bench.seconds = 0.0
        asked = Verdicts(bench.documents("train"))

        def ask(cycle: int, side: Side, asked: Verdicts = asked) -> None:
            asked.ask(judge, side.dense[0][:, :PUBLISHED_TOP].tolist())

        config = settings.paper.model_copy(update={"warmup": warmup})
        own = replace(settings, paper=config)
        yield from _paper(f"paper, {name},", bench, own, asked, ask)


def lmtx(bench: Bench, judge: Judge, settings: Settings) -> Iterator[Row]:
    """LMTX by the default recipe, then `paper` with as many judged pairs after each cycle."""
    spent = []
    for row, is_last in _default(bench, judge, settings):
        yield row
        if is_last:
            spent.append(row.calls)
    bench.seconds = 0.0
    asked = Verdicts(bench.documents("train"))

    def ask(cycle: int, side: Side) -> None:
        asked.ask(judge, side.dense[0].tolist(), spent[cycle - 1] - asked.calls)

    yield from _paper("paper", bench, settings, asked, ask)


def _paper(
    name: str,
    bench: Bench,
    settings: Settings,
    asked: Verdicts,
    ask: Callable[[int, Side], None],
) -> Iterator[Row]:
    model, train = bench.encoder.model, bench.untouched(["train"])["train"]
    config = settings.paper
    for cycle in range(1, settings.cycles + 1):
        ask(cycle, train)
        examples = build_examples(asked.table(), settings.pseudo_labels, config.seed)
        start = model if config.init == "previous" else bench.encoder.model
        model = bench.trained(start, examples, config)
        last = cycle == settings.cycles
        state = bench.state(model, ["test"] if last else ["train", "test"])
        yield from _alone_and_fused(f"{name} {cycle}", state["test"], bench, asked.calls)
        train = state.get("train", train)


def _default(bench: Bench, judge: Judge, settings: Settings) -> Iterator[tuple[Row, bool]]:
    """Rows, and whether one is its cycle's last."""
    config, model = settings.default, bench.encoder.model
    asked, held = Verdicts(bench.documents("train")), Verdicts(bench.documents("held"))
    state, votes = bench.untouched(), None
    keys_N = [document_key(document.doc_id) for document in asked.documents]
    for cycle in range(1, settings.cycles + 1):
        asked.ask(judge, _questions(state["train"], votes, settings.top_k))
        if cycle == 1:
            first = Verdicts(held.documents)  # of no other row
            ids_BK, _ = _learned(bench, state, asked, first, judge)
            yield Row("default 0 learned", ids_BK, asked.calls + first.calls), False
        examples = build_examples(asked.table(), settings.pseudo_labels, config.seed)
        start = model if config.init == "previous" else bench.encoder.model
        model = bench.trained(start, examples, config)
        state = bench.state(model)
        name = f"default {cycle}"
        for row in _alone_and_fused(name, state["test"], bench, asked.calls):
            yield row, False
        ids_BK, memory = _learned(bench, state, asked, held, judge)
        votes = memory.search(state["train"].vectors_BD, DEPTH, keys_N)
        calls = asked.calls + held.calls
        yield Row(f"{name} learned", ids_BK, calls, seconds=bench.seconds), True


def _questions(side: Side, votes: Candidates | None, top_k: int) -> list[list[int]]:
    """Labels that are worth a question, of each document."""
    lists = [side.fused_BK[:, :top_k]] + ([] if votes is None else [votes[0][:, : top_k // 2]])
    return np.concatenate(lists, axis=1).tolist()


def _firsts(side: Side, votes: Candidates) -> list[list[int]]:
    lists = [ids_BK[:, :SELECTED] for ids_BK in (side.dense[0], side.fused_BK, votes[0])]
    return np.concatenate(lists, axis=1).tolist()


def remembered(asked: Verdicts, vectors_ND: np.ndarray, labels: int) -> Remembered:
    """The memory of judged documents, in their order."""
    asked_L, accepted_L = np.zeros(labels), np.zeros(labels)
    judged: list[Judged] = []
    for document, vector_D in zip(asked.documents, vectors_ND, strict=True):
        said = asked.said[document.doc_id]
        asked_L[list(said)] += 1
        accepted = {label: p_yes for label, p_yes in said.items() if p_yes > 0.5}
        accepted_L[list(accepted)] += list(accepted.values())
        judged.append((document_key(document.doc_id), vector_D, [*accepted], [*accepted.values()]))
    return Remembered.of(judged, asked_L, accepted_L)


def _learned(
    bench: Bench, state: State, asked: Verdicts, held: Verdicts, judge: Judge
) -> tuple[np.ndarray, Memory]:
    """ids_BK of the test documents by all sides, as the judge's answers on those held aside weigh
    them; and the memory of what it was asked about."""
    memory = Memory(remembered(asked, state["train"].vectors_BD, len(bench.texts.labels)))
    votes = {part: memory.search(state[part].vectors_BD, DEPTH) for part in ("held", "test")}
    held.ask(judge, _firsts(state["held"], votes["held"]))
    ids = [document.doc_id for document in held.documents]
    own = zip(ids, _lists(state["held"], votes["held"]), strict=True)
    combiner = fit_combiners(list(own), held.by_pair(), memory.histories, DEPTH).whole
    rows = [
        combined(lists, combiner, memory.histories, DEPTH)[0]
        for lists in _lists(state["test"], votes["test"])
    ]
    return np.stack(rows), memory


def _lists(side: Side, votes: Candidates) -> Iterator[SideLists]:
    for row in range(len(side.vectors_BD)):
        yield SideLists(*((ids[row], s[row]) for ids, s in (side.dense, side.lexical, votes)))


def _alone_and_fused(name: str, side: Side, bench: Bench, calls: int) -> Iterator[Row]:
    yield Row(f"{name} alone", side.dense[0], calls, seconds=bench.seconds)
    yield Row(f"{name} fused", side.fused_BK, calls, seconds=bench.seconds)


def _table(documents: Sequence[Document]) -> pa.Table:
    """DOCUMENTS to train on."""
    return pa.table(
        {
            "doc_id": [document.doc_id for document in documents],
            "title": pa.array([document.title for document in documents], pa.string()),
            "text": pa.array([document.text for document in documents], pa.large_string()),
            "split": ["train"] * len(documents),
        }
    )


METHODS = {
    "lmtx": lmtx,
    "title": title,
    "segment": segment,
    "paper": published,
    "search": search,
}
