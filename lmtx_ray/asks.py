"""Which questions are worth asking: top candidates minus the verdict store, as pure tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from lmtx_ray import schemas
from lmtx_ray.settings import JudgeConfig
from lmtx_ray.teacher.protocol import QUESTIONS

Pair = tuple[str, int]
Plan = Mapping[str, Sequence[tuple[str, int]]]  # split -> (ranking name, its top k)

EMPTY_ANSWERS = pa.table(
    {name: pa.array([], schemas.VERDICTS.field(name).type) for name in
     ("doc_id", "label_id", "answer", "p_yes", "raw")}
)  # fmt: skip


def pairs_of(verdicts: pa.Table) -> Iterable[Pair]:
    """The (doc_id, label_id) of each row, in order."""
    return zip(verdicts["doc_id"].to_pylist(), verdicts["label_id"].to_pylist(), strict=True)


def wanted_candidates(
    documents: pa.Table,
    rankings: Mapping[str, pa.Table],
    plan: Plan,
) -> dict[str, list[int]]:
    """doc_id -> label ids worth a question, best first, each once, documents in table order."""
    by_doc = {
        name: dict(zip(table["doc_id"].to_pylist(), table["label_ids"].to_pylist(), strict=True))
        for name, table in rankings.items()
    }
    wanted: dict[str, list[int]] = {}
    for doc_id, split in zip(
        documents["doc_id"].to_pylist(), documents["split"].to_pylist(), strict=True
    ):
        tops = [by_doc[name][doc_id][:k] for name, k in plan.get(split, ())]
        wanted[doc_id] = list(dict.fromkeys(label for top in tops for label in top))
    return wanted


def without_judged(
    wanted: Mapping[str, list[int]], earlier: Sequence[pa.Table]
) -> dict[str, list[int]]:
    """The anti-join with the verdict store; documents left without a question are dropped."""
    judged = {pair for verdicts in earlier for pair in pairs_of(verdicts)}
    asked = {
        doc_id: [label for label in labels if (doc_id, label) not in judged]
        for doc_id, labels in wanted.items()
    }
    return {doc_id: labels for doc_id, labels in asked.items() if labels}


def build_questions(
    documents: pa.Table, asked: Mapping[str, list[int]], label_texts: Sequence[str]
) -> pa.Table:
    """One row for each document with its candidates (QUESTIONS), in the order of `asked`."""
    rows = {row["doc_id"]: row for row in documents.select(["doc_id", "title", "text"]).to_pylist()}
    table = pa.table(
        {
            "doc_id": list(asked),
            "title": pa.array([rows[doc_id]["title"] for doc_id in asked], pa.string()),
            "text": pa.array([rows[doc_id]["text"] for doc_id in asked], pa.large_string()),
            "label_ids": list(asked.values()),
            "label_texts": [[label_texts[label] for label in labels] for labels in asked.values()],
        }
    )
    return table if table.num_rows == 0 else schemas.conform(table, QUESTIONS)


def conform_verdicts(
    answers: pa.Table, wanted: Mapping[str, list[int]], identity: tuple[str, str], cycle: int
) -> pa.Table:
    """Answers plus who was asked what and when; `rank` is the candidate's place, from 0."""
    ranks = {
        (doc_id, label): rank
        for doc_id, labels in wanted.items()
        for rank, label in enumerate(labels)
    }
    rows = answers.num_rows
    prompt, teacher = identity
    extended = {name: answers[name] for name in EMPTY_ANSWERS.column_names}
    extended["prompt"] = pa.array([prompt] * rows, pa.string())
    extended["teacher"] = pa.array([teacher] * rows, pa.string())
    extended["cycle"] = pa.array([cycle] * rows, pa.int32())
    extended["rank"] = pa.array([ranks[pair] for pair in pairs_of(answers)], pa.int32())
    return schemas.conform(pa.table(extended), schemas.VERDICTS)


def judge_asks(config: JudgeConfig, first: bool) -> dict[str, list[tuple[str, int]]]:
    """What a cycle's judging asks. The first also judges what evaluation compares with: the
    untouched encoder on held-aside documents, and the test documents to re-rank."""
    asks = {"train": [("hybrid", config.top_k)]}
    if first:
        asks |= select_asks(config)
        asks |= {"test": [("hybrid", config.rerank_k)]} if config.rerank_k else {}
    return asks


def select_asks(config: JudgeConfig) -> dict[str, list[tuple[str, int]]]:
    """What selection asks: the top of both rankings of each held-aside document."""
    return {"held_aside": [("dense", config.select_k), ("hybrid", config.select_k)]}
