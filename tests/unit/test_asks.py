"""Which pairs are asked: top candidates, each once, never one that was judged before."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray import asks, schemas

DOCUMENTS = schemas.conform(
    pa.table(
        {
            "doc_id": ["a", "b", "c"],
            "title": ["A", None, "C"],
            "text": ["one", "two", "three"],
            "split": ["train", "held_aside", "test"],
        }
    ),
    schemas.DOCUMENTS,
)


def ranking(labels: dict[str, list[int]]) -> pa.Table:
    scores = [[1.0 - 0.1 * rank for rank in range(len(ids))] for ids in labels.values()]
    table = pa.table({"doc_id": list(labels), "label_ids": list(labels.values()), "scores": scores})
    return schemas.conform(table, schemas.RANKINGS)


RANKINGS = {
    "dense": ranking({"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9]}),
    "hybrid": ranking({"a": [3, 2, 1], "b": [5, 4, 0], "c": [9, 8, 7]}),
}


def verdicts(pairs: list[tuple[str, int]]) -> pa.Table:
    return pa.table(
        {"doc_id": [doc_id for doc_id, _ in pairs], "label_id": [label for _, label in pairs]}
    )


def test_wanted_candidates_joins_rankings_without_repeats_in_order_of_rank() -> None:
    plan = {"train": [("hybrid", 2)], "held_aside": [("dense", 2), ("hybrid", 3)]}
    wanted = asks.wanted_candidates(DOCUMENTS, RANKINGS, plan)
    assert wanted == {"a": [3, 2], "b": [4, 5, 0], "c": []}


def test_judged_pairs_are_not_asked_again_and_finished_documents_disappear() -> None:
    wanted = {"a": [3, 2], "b": [4, 5]}
    earlier = [verdicts([("a", 3), ("b", 4)]), verdicts([("b", 5), ("c", 2)])]
    assert asks.without_judged(wanted, earlier) == {"a": [2]}


def test_questions_carry_texts_by_id_and_keep_the_order_of_candidates() -> None:
    questions = asks.build_questions(DOCUMENTS, {"c": [2, 0]}, ["zero", "one", "two"])
    assert questions.to_pylist() == [
        {
            "doc_id": "c",
            "title": "C",
            "text": "three",
            "label_ids": [2, 0],
            "label_texts": ["two", "zero"],
        }
    ]


def test_an_unclear_answer_stays_a_row_with_its_rank_and_identity() -> None:
    answers = pa.table(
        {
            "doc_id": ["a"],
            "label_id": pa.array([2], pa.int32()),
            "answer": ["unclear"],
            "p_yes": pa.array([None], pa.float32()),
            "raw": ["engine said nothing"],
        }
    )
    table = asks.conform_verdicts(answers, {"a": [3, 2]}, ("p", "t"), cycle=2)
    (row,) = table.to_pylist()
    assert (row["answer"], row["p_yes"], row["rank"], row["cycle"]) == ("unclear", None, 1, 2)
    assert (row["prompt"], row["teacher"]) == ("p", "t")


@pytest.mark.parametrize(("first", "splits"), [(True, {"train", "held_aside", "test"}),
                                               (False, {"train"})])  # fmt: skip
def test_only_the_first_cycle_judges_what_evaluation_compares_with(
    first: bool, splits: set[str]
) -> None:
    from lmtx_ray.settings import JudgeConfig
    from lmtx_ray.teacher.protocol import TeacherConfig

    config = JudgeConfig(teacher=TeacherConfig(kind="lexical", prompt="tag"), rerank_k=5)
    assert set(asks.judge_asks(config, first)) == splits
