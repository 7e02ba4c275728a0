"""What members of an ensemble said is kept as their own, and asked once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.stages import kept_verdicts, members
from lmtx_ray.stages.members import KeptMember
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import BudgetReached, JudgeRefused
from lmtx_ray.teacher.questions import build_questions
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.verdicts.store import VerdictStore
from tests.stages.asking import Counting, by_length, documents
from tests.teacher.asking import asked

CONFIG = TeacherConfig(kind="vllm", model="some/model", prompt="tag", least_mass=0.5)


class Own(Counting):
    """A member under its real identity."""

    def __init__(self, say=by_length, most: int | None = None, **more: type[Exception]) -> None:
        super().__init__(say, most, **more)
        self.prompt_fingerprint, self.fingerprint = teacher_identity(CONFIG, get_prompt("tag"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(members, "build_teacher", lambda *_: Own.now)
    Own.now = Own()
    return str(tmp_path / "store")


def member(store: str) -> KeptMember:
    return KeptMember(CONFIG, store, None, None)


def test_a_pair_is_asked_once_in_all_ensembles(store: str) -> None:
    table = asked("heart", "lung", "ear")
    first = member(store).judge(table)
    assert len(Own.now.asked) == 3
    same = member(store)
    assert same.judge(table).equals(first)
    assert (len(Own.now.asked), same.usage.requests, same.commit) == (3, 0, "")
    both = same.judge(asked("ear", "eye", "heart"))
    assert [label for _, label in Own.now.asked[3:]] == ["eye"]
    assert both["label_id"].to_pylist() == [0, 1, 2]
    assert both["p_yes"].to_pylist()[::2] == [first["p_yes"][n].as_py() for n in (2, 0)]


@pytest.mark.parametrize("problem", [BudgetReached, OSError])
def test_what_was_paid_before_an_end_is_kept(store: str, problem: type[Exception]) -> None:
    Own.now = Own(most=2, problem=problem)
    with pytest.raises(problem):
        member(store).judge(asked("heart", "lung", "ear"))
    Own.now = Own()
    member(store).judge(asked("heart", "lung", "ear"))
    assert [label for _, label in Own.now.asked] == ["ear"]


def test_a_member_behind_an_endpoint_is_kept_while_it_is_asked(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a member whose engine is best asked all at once, too."""
    monkeypatch.setattr(kept_verdicts, "ROUNDS", 2)
    served = CONFIG.model_copy(update={"kind": "http", "url": "http://h", "concurrency": 1})
    prompt, teacher = teacher_identity(served, get_prompt("tag"))
    partition = VerdictStore(store).partition(teacher, prompt)
    kept: list[int] = []

    def say(text: str, label: str) -> Reading:
        kept.append(len(partition.part_names()))
        return by_length(text, label)

    Own.now = Own(say)
    Own.now.fingerprint = teacher
    table = pa.concat_tables([asked("heart", "lung", "ear"), asked("heart", "eye", text="b")])
    rows = [{**row, "doc_id": f"d{n}"} for n, row in enumerate(table.to_pylist())]
    member_of = KeptMember(served, store, None, None)
    answers = member_of.judge(pa.Table.from_pylist(rows, schema=table.schema))
    assert kept == [0, 0, 1, 1, 2]
    assert answers["doc_id"].to_pylist() == ["d0"] * 3 + ["d1"] * 2
    assert answers["label_id"].to_pylist() == [0, 1, 2, 0, 1]


def test_too_little_mass_is_unclear_also_out_of_the_store(store: str) -> None:
    Own.now = Own(lambda text, label: Reading("yes", 0.9, 0.4))
    for _ in range(2):
        (row,) = member(store).judge(asked("heart")).to_pylist()
        assert (row["answer"], row["p_yes"]) == ("unclear", pytest.approx(0.9))


def test_equal_texts_under_two_ids_are_one_question(store: str) -> None:
    twice = pa.concat_tables([documents(["one"]), documents(["one"], start=1)])
    rows = twice.select(["doc_id", "title", "text"]).to_pylist()
    more = {"label_ids": [0, 1], "label_texts": ["heart", "lung"]}
    table = pa.Table.from_pylist(
        [{**row, **more} for row in rows], schema=build_questions(twice, []).schema
    )
    answers = member(store).judge(table)
    assert (answers.num_rows, len(Own.now.asked)) == (4, 2)
    kept = VerdictStore(store).partition(Own.now.fingerprint, Own.now.prompt_fingerprint)
    assert sum(kept.read_part(name).num_rows for name in kept.part_names()) == 2


def test_units_at_once_share_one_engine_of_a_member(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, again = [], threading.Event()

    def build(*_: object) -> Own:
        built.append(Own.now)
        if len(built) > 1:
            again.set()
        again.wait(0.3)  # an engine takes its time
        return Own.now

    monkeypatch.setattr(members, "build_teacher", build)
    one = member(store)
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(one.judge, [asked("heart", "lung"), asked("ear", "eye")]))
    assert len(built) == 1
    assert [table.num_rows for table in said] == [2, 2]
    assert len(Own.now.asked) == 4


def test_a_member_of_another_commit_stays_refused(store: str) -> None:
    Own.now.commit = "a"
    member(store).judge(asked("heart"))
    Own.now = Own()
    Own.now.commit = "b"
    other = member(store)
    for _ in range(2):
        with pytest.raises(JudgeRefused, match="commit b now"):
            other.judge(asked("ear"))
    assert not Own.now.asked


def test_a_member_of_other_files_than_those_the_run_knows_is_refused(store: str) -> None:
    known = Own.now.fingerprint
    Own.now.fingerprint = "another"
    with pytest.raises(JudgeRefused, match="some/model: its files changed"):
        member(store).judge(asked("heart"))
    assert not Own.now.asked
    partition = VerdictStore(store).partition(known, Own.now.prompt_fingerprint)
    assert partition.part_names() == []
