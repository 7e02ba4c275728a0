"""Which questions are worth asking, and what a run sees of their answers, as pure tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.judge import JudgeConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.teacher.chance import CHANCE, drawn
from lmtx_ray.teacher.priors import AS_SAID, Calibration, read
from lmtx_ray.teacher.protocol import QUESTIONS

Pair = tuple[str, int]
Key = tuple[bytes, bytes]  # document, label: hashes of their texts
Plan = Mapping[str, Sequence[tuple[str, int]]]  # split -> (ranking name, its top k)
FIRST_WORDS = 3  # labels that words find for a document: pairs that no judge had a hand in


@dataclass(frozen=True)
class Candidate:
    """A pair that a verdict is wanted for; `rank` is its place among the document's, from 0.

    `label_text` is what the judge sees of the label; `plain` is the key by which people's answers
    are found: they saw the label's name, whatever the prompt shows a model.
    """

    doc_id: str
    label_id: int
    rank: int
    split: str
    key: Key
    plain: Key
    label_text: str


def pairs_of(verdicts: pa.Table) -> Iterable[Pair]:
    """The (doc_id, label_id) of each row, in order."""
    return zip(verdicts["doc_id"].to_pylist(), verdicts["label_id"].to_pylist(), strict=True)


def of_splits(plan: Plan, documents: pa.Table, *others: pa.Table) -> list[pa.Table]:
    """The documents of the splits that a plan asks about, and the rows on them of other tables with
    a doc_id: elsewhere nothing is looked up."""
    own = documents.filter(
        pc.is_in(documents["split"], value_set=pa.array(list(plan), pa.string()))
    )
    if own.num_rows == documents.num_rows:
        return [documents, *others]
    ids = own["doc_id"].combine_chunks()
    return [own, *(table.filter(pc.is_in(table["doc_id"], value_set=ids)) for table in others)]


def wanted_candidates(
    documents: pa.Table,
    rankings: Mapping[str, pa.Table],
    plan: Plan,
    labels: int = 0,
) -> dict[str, list[int]]:
    """doc_id -> label ids worth a question, best first, each once, documents in table order.
    CHANCE in a plan are some of so many `labels`, drawn beside the rankings."""
    by_doc = {
        name: dict(zip(table["doc_id"].to_pylist(), table["label_ids"].to_pylist(), strict=True))
        for name, table in rankings.items()
    }
    wanted: dict[str, list[int]] = {}
    for doc_id, split in zip(
        documents["doc_id"].to_pylist(), documents["split"].to_pylist(), strict=True
    ):
        found = {name: own[doc_id] for name, own in by_doc.items()}
        tops = [
            drawn(doc_id, labels, set().union(*found.values()), k)
            if name == CHANCE
            else found[name][:k]
            for name, k in plan.get(split, ())
        ]
        wanted[doc_id] = list(dict.fromkeys(label for top in tops for label in top))
    return wanted


def without_judged(candidates: Sequence[Candidate], earlier: Sequence[pa.Table]) -> list[Candidate]:
    """Those that no earlier view of the run holds."""
    judged = {pair for verdicts in earlier for pair in pairs_of(verdicts)}
    return [c for c in candidates if (c.doc_id, c.label_id) not in judged]


def to_ask(candidates: Sequence[Candidate], known: Mapping[Key, Any]) -> list[Candidate]:
    """The anti-join with what is known; of several pairs with the same texts the first."""
    first: dict[Key, Candidate] = {}
    for candidate in candidates:
        if candidate.key not in known:
            first.setdefault(candidate.key, candidate)
    return list(first.values())


def build_questions(documents: pa.Table, asked: Sequence[Candidate]) -> pa.Table:
    """One row for each document with its candidates (QUESTIONS), in the order of `asked`."""
    rows = {row["doc_id"]: row for row in documents.select(["doc_id", "title", "text"]).to_pylist()}
    by_doc: dict[str, list[Candidate]] = {}
    for candidate in asked:
        by_doc.setdefault(candidate.doc_id, []).append(candidate)
    questions = [
        {
            "doc_id": doc_id,
            "title": rows[doc_id]["title"],
            "text": rows[doc_id]["text"],
            "label_ids": [c.label_id for c in candidates],
            "label_texts": [c.label_text for c in candidates],
        }
        for doc_id, candidates in by_doc.items()
    ]
    return schemas.conform(pa.Table.from_pylist(questions, schema=QUESTIONS), QUESTIONS)


def first_by_key(stored: pa.Table) -> dict[Key, dict[str, Any]]:
    """(document, label) -> the first row of STORED_VERDICTS on it."""
    rows: dict[Key, dict[str, Any]] = {}
    for row in stored.to_pylist():
        rows.setdefault((row["document"], row["label"]), row)
    return rows


def view(
    candidates: Sequence[Candidate],
    known: Mapping[Key, Mapping[str, Any]],
    human: Mapping[Key, Mapping[str, Any]],
    sources: Mapping[str, str],
    cycle: int,
    least_mass: float,
    calibration: Calibration = AS_SAID,
) -> pa.Table:
    """VERDICTS: a run's view of stored rows, one for each candidate that has a verdict, in order.

    A person's answer goes before a model's. P(yes) of an unclear answer is null. `sources` gives
    for each split the step whose questions count as asked now.
    """
    rows = []
    counted: set[Key] = set()
    for c in candidates:
        stored = human.get(c.plain) or known.get(c.key)
        if stored is None:
            continue
        asked = stored["teacher"] != HUMAN and stored["source"] == sources[c.split]
        said = read(stored, least_mass, calibration)
        rows.append(
            {
                "doc_id": c.doc_id,
                "label_id": c.label_id,
                "answer": said.answer,
                "p_yes": None if said.answer == "unclear" else said.p_yes,
                "mass": said.mass,
                "raw": said.raw,
                "prompt": stored["prompt"],
                "teacher": stored["teacher"],
                "cycle": cycle,
                "rank": c.rank,
                "asked": asked and c.key not in counted,
            }
        )
        counted.add(c.key)
    return schemas.conform(pa.Table.from_pylist(rows, schema=schemas.VERDICTS), schemas.VERDICTS)


def judge_asks(
    config: JudgeConfig, first: bool, voted: bool = False
) -> dict[str, list[tuple[str, int]]]:
    """What a cycle's judging asks, with the votes of neighbours where there are any. The first also
    judges what evaluation compares with: the untouched encoder on held-aside documents, and the
    test documents to re-rank."""
    votes = [("votes", votes_asked(config))] if voted else []
    asks = {"train": [("hybrid", config.top_k), *votes]}
    if first:
        asks |= select_asks(config)
        asks |= {"test": [("hybrid", config.rerank_k)]} if config.rerank_k else {}
    return asks


def select_asks(config: JudgeConfig, voted: bool = False) -> dict[str, list[tuple[str, int]]]:
    """What selection asks: the top of both rankings of each held-aside document, and of the votes
    of its neighbours where there are any."""
    rankings = ("dense", "hybrid", "votes") if voted else ("dense", "hybrid")
    return {"held_aside": [(name, config.select_k) for name in rankings]}


def learned_asks(config: JudgeConfig) -> dict[str, list[tuple[str, int]]]:
    """What selection asks of the weighed ranking."""
    return {"held_aside": [("learned", config.select_k)]}


def chance_asks(config: JudgeConfig) -> dict[str, list[tuple[str, int]]]:
    """What probabilities are made from: labels that tell how kind the judge is, and the first ones
    that a document's words find, whatever a judge's answers make of them."""
    return {"held_aside": [(CHANCE, config.chance_k), ("lexical", FIRST_WORDS)]}


def votes_asked(config: JudgeConfig) -> int:
    """Labels of a document's neighbours that are asked about."""
    return -(-config.top_k // 2)
