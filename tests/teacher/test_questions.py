"""Which pairs are asked, each once and never one with an answer, and what a run sees of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import JudgeConfig, TeacherConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.teacher import questions
from lmtx_ray.teacher.chance import CHANCE, drawn
from lmtx_ray.teacher.questions import Candidate, Key

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
SOURCES = {"train": "now", "held_aside": "now too"}


def ranking(labels: dict[str, list[int]]) -> pa.Table:
    scores = [[1.0 - 0.1 * rank for rank in range(len(ids))] for ids in labels.values()]
    table = pa.table({"doc_id": list(labels), "label_ids": list(labels.values()), "scores": scores})
    return schemas.conform(table, schemas.RANKINGS)


RANKINGS = {
    "dense": ranking({"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9]}),
    "hybrid": ranking({"a": [3, 2, 1], "b": [5, 4, 0], "c": [9, 8, 7]}),
}


def candidate(doc_id: str, label: int, text: str = "", split: str = "train") -> Candidate:
    """`text` stands for the document's text; without it each document has its own."""
    seen, plain = f"about l{label}", f"l{label}"
    document = (text or doc_id).encode()
    keys = (document, seen.encode()), (document, plain.encode())
    return Candidate(doc_id, label, 3, split, *keys, seen)


def stored(answer: str, p_yes: float | None = None, **more: Any) -> dict[str, Any]:
    return {
        "label": b"label",
        "answer": answer,
        "p_yes": p_yes,
        "mass": 1.0,
        "raw": None,
        "prompt": "p",
        "teacher": "t",
        "source": "now",
        **more,
    }


def person(answer: str) -> dict[str, Any]:
    return stored(answer, mass=None, prompt="", teacher="human", source="human")


def view(
    candidates: list[Candidate],
    known: dict[Key, Any],
    human: dict[Key, Any] | None = None,
    least_mass: float = 0.1,
) -> list[dict[str, Any]]:
    table = questions.view(candidates, known, human or {}, SOURCES, 2, least_mass)
    assert table.schema.equals(schemas.VERDICTS, check_metadata=True)
    return table.to_pylist()


def test_wanted_candidates_joins_rankings_without_repeats_in_order_of_rank() -> None:
    plan = {"train": [("hybrid", 2)], "held_aside": [("dense", 2), ("hybrid", 3)]}
    wanted = questions.wanted_candidates(DOCUMENTS, RANKINGS, plan)
    assert wanted == {"a": [3, 2], "b": [4, 5, 0], "c": []}


def test_splits_that_are_not_asked_about_are_not_looked_into() -> None:
    dense, earlier = RANKINGS["dense"], pa.table({"doc_id": ["b", "a"], "label_id": [4, 3]})
    found = questions.of_splits({"held_aside": []}, DOCUMENTS, dense, earlier)
    assert [table["doc_id"].to_pylist() for table in found] == [["b"], ["b"], ["b"]]
    all_splits: dict[str, list] = {split: [] for split in DOCUMENTS["split"].to_pylist()}
    assert questions.of_splits(all_splits, DOCUMENTS, dense, earlier) == [DOCUMENTS, dense, earlier]
    none = questions.of_splits({}, DOCUMENTS, dense)
    assert [table.num_rows for table in none] == [0, 0]


def test_pairs_of_earlier_steps_are_left_out() -> None:
    earlier = [
        pa.table({"doc_id": ["a", "b"], "label_id": [3, 4]}),
        pa.table({"doc_id": ["b", "c"], "label_id": [5, 2]}),
    ]
    given = [candidate("a", 3), candidate("a", 2), candidate("b", 4), candidate("c", 3)]
    assert questions.without_judged(given, earlier) == [given[1], given[3]]
    assert questions.without_judged(given, []) == given


def test_known_texts_and_repeated_texts_are_not_asked() -> None:
    given = [
        candidate("a", 1),
        candidate("b", 1, "same"),
        candidate("c", 1, "same"),
        candidate("c", 2, "same"),
    ]
    assert questions.to_ask(given, {given[0].key: stored("yes")}) == [given[1], given[3]]


def test_questions_carry_texts_and_keep_the_order_of_candidates() -> None:
    given = [candidate("c", 2), candidate("a", 0), candidate("c", 0)]
    assert questions.build_questions(DOCUMENTS, given).to_pylist() == [
        {
            "doc_id": "c",
            "title": "C",
            "text": "three",
            "label_ids": [2, 0],
            "label_texts": ["about l2", "about l0"],
        },
        {"doc_id": "a", "title": "A", "text": "one", "label_ids": [0], "label_texts": ["about l0"]},
    ]
    assert questions.build_questions(DOCUMENTS, []).num_rows == 0


def test_a_view_has_one_row_for_each_candidate_with_a_verdict() -> None:
    given = [candidate("a", 1), candidate("a", 2), candidate("a", 3)]
    known = {given[0].key: stored("yes", 0.75), given[2].key: stored("no", 0.25)}
    first, second = view(given, known)
    assert first == {
        "doc_id": "a",
        "label_id": 1,
        "answer": "yes",
        "p_yes": 0.75,
        "mass": 1.0,
        "raw": None,
        "prompt": "p",
        "teacher": "t",
        "cycle": 2,
        "rank": 3,
        "asked": True,
    }
    assert (second["label_id"], second["answer"], second["p_yes"]) == (3, "no", 0.25)
    assert view([], {}) == []


def test_too_little_mass_is_unclear_whatever_was_stored_and_back_again() -> None:
    one = candidate("a", 1)
    known = {one.key: stored("yes", 0.75, mass=0.5, raw="Well")}
    (strict,) = view([one], known, least_mass=0.6)
    assert (strict["answer"], strict["p_yes"], strict["mass"]) == ("unclear", None, 0.5)
    known = {one.key: stored("unclear", 0.75, mass=0.5)}
    (lenient,) = view([one], known, least_mass=0.4)
    assert (lenient["answer"], lenient["p_yes"]) == ("yes", 0.75)
    known = {one.key: stored("yes", mass=None)}  # a judge that gives no probabilities
    assert view([one], known, least_mass=1.0)[0]["answer"] == "yes"


def test_labels_are_drawn_by_chance_from_those_that_no_search_finds() -> None:
    documents = pa.table({"doc_id": ["a", "b"], "split": ["held_aside", "train"]})
    ranking = pa.table({"doc_id": ["a", "b"], "label_ids": [[*range(90)], [1]]})
    plan = {"held_aside": [(CHANCE, 2)]}
    wanted = questions.wanted_candidates(documents, {"dense": ranking}, plan, 120)
    assert wanted["b"] == []
    assert len(set(wanted["a"])) == 2
    assert all(90 <= label < 120 for label in wanted["a"])
    assert wanted["a"] == drawn("a", 120, set(range(90)), 2)  # whatever else is asked
    assert wanted["a"] != drawn("c", 120, set(range(90)), 2)
    assert drawn("a", 90, set(range(90)), 2) == []  # all may be right
    assert drawn("a", 0, set(), 2) == []


def test_an_answer_of_a_person_goes_before_a_models() -> None:
    one, two = candidate("a", 1), candidate("a", 2)
    known = {one.key: stored("yes", 0.9), two.key: stored("yes", 0.9)}
    first, second = view([one, two], known, {one.plain: person("no")})
    assert (first["answer"], first["p_yes"], first["teacher"]) == ("no", None, "human")
    assert (first["asked"], second["asked"]) == (False, True)
    assert view([one], {}, {one.key: person("no")}) == []  # people saw the label's name


def test_only_what_this_step_asked_counts_as_asked_and_a_text_once() -> None:
    given = [
        candidate("a", 1, "same"),
        candidate("b", 1, "same"),
        candidate("c", 1),
        candidate("d", 1, split="held_aside"),
    ]
    known = {
        given[0].key: stored("yes", 0.9),
        given[2].key: stored("yes", 0.9, source="before"),
        given[3].key: stored("yes", 0.9, source="now too"),
    }
    assert [row["asked"] for row in view(given, known)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("first", "splits"), [(True, {"train", "held_aside", "test"}), (False, {"train"})]
)
def test_only_the_first_cycle_judges_what_evaluation_compares_with(
    first: bool, splits: set[str]
) -> None:
    teacher = TeacherConfig(kind="lexical", prompt="tag")
    config = JudgeConfig(teacher=teacher, rerank_k=5)
    assert set(questions.judge_asks(config, first)) == splits
    without = questions.judge_asks(JudgeConfig(teacher=teacher), first)
    assert set(without) == splits - {"test"}


def test_each_step_asks_about_the_first_labels_of_what_it_compares() -> None:
    config = JudgeConfig(teacher=TeacherConfig(kind="lexical", prompt="tag"), top_k=5, select_k=2)
    first = questions.judge_asks(config, first=True)
    assert first == {"train": [("hybrid", 5)], "held_aside": [("dense", 2), ("hybrid", 2)]}
    voted = questions.judge_asks(config, first=False, voted=True)
    assert voted == {"train": [("hybrid", 5), ("votes", 3)]}
    selected = questions.select_asks(config, voted=True)
    assert selected == {"held_aside": [("dense", 2), ("hybrid", 2), ("votes", 2)]}
    assert questions.learned_asks(config) == {"held_aside": [("learned", 2)]}
    words = ("lexical", questions.FIRST_WORDS)  # of which `calibrate` takes just as many
    assert questions.chance_asks(config) == {"held_aside": [(CHANCE, config.chance_k), words]}
