"""A pair is asked once, whatever happens; what was answered is kept; people have the last word."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import BudgetConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io import progress, storage
from lmtx_ray.stages import judge
from lmtx_ray.stages.judge import CHECKED_DOCUMENTS, AskTeacher
from lmtx_ray.teacher.budget import Ledger
from lmtx_ray.teacher.health import JudgeUseless
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import BudgetReached, JudgeRefused
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.verdicts.store import add_human
from tests.stages.asking import Counting, Setting, by_length, documents, fragments, said


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return Setting(tmp_path, monkeypatch)


def texts(count: int) -> list[str]:
    return [f"a text of number {n}" for n in range(count)]


def unit(count: int = 3) -> tuple[pa.Table, pa.Table, pa.Table]:
    return fragments(documents(texts(count)))


def say_no(text: str, label: str) -> Reading:
    return Reading("no", 0.01 + 0.01 * (len(label + text) % 3), 0.9)


def never(text: str, label: str) -> Reading:
    raise AssertionError("asked again")


def test_the_view_has_every_wanted_pair_with_its_verdict(setting: Setting) -> None:
    table = pa.concat_tables([documents(["one"]), documents(["two"], "held_aside", 1)])
    sources = {"train": "step 1", "held_aside": "selection 1"}
    view = setting.worker(sources=sources, cycle=3)(*fragments(table))
    assert view.schema.equals(schemas.VERDICTS, check_metadata=True)
    assert said(view) == [
        (doc_id, label, by_length(text, f"label {label}").answer)
        for doc_id, text, labels in (("d0", "one", (0, 1, 2, 3)), ("d1", "two", (3, 4, 0, 1)))
        for label in labels
    ]
    assert view["rank"].to_pylist() == [0, 1, 2, 3] * 2
    assert view["mass"].to_pylist() == pytest.approx([0.8] * 8)
    assert set(view["asked"].to_pylist()) == {True}
    assert [set(view[n].to_pylist()) for n in ("prompt", "teacher", "cycle")] == [{"p"}, {"t"}, {3}]
    by_source = {row["document"]: row["source"] for row in setting.stored()}
    assert by_source == {text_key("one"): "step 1", text_key("two"): "selection 1"}
    assert len(setting.stored()) == 8


def test_a_pair_in_the_store_is_not_asked_in_another_run(setting: Setting) -> None:
    first = setting.worker()(*unit())
    setting.teacher = Counting(never)
    worker = setting.worker(source="a step of another run")
    again = worker(*unit())
    assert said(again) == said(first)
    assert set(again["asked"].to_pylist()) == {False}
    assert setting.teacher.built == 0  # an engine takes minutes to start
    assert worker.usage.requests == 0


def test_only_new_pairs_are_asked(setting: Setting) -> None:
    setting.worker(plan={"train": [("hybrid", 2)]})(*unit())
    view = setting.worker(source="next")(*unit())
    assert len(setting.teacher.asked) == len(set(setting.teacher.asked)) == 3 * 4
    assert view["asked"].to_pylist() == [False, False, True, True] * 3
    earlier = setting.worker(source="third")(*unit(), view.slice(0, 11))
    assert said(earlier) == said(view)[11:]


def test_a_changed_text_is_asked_again_and_a_changed_id_is_not(setting: Setting) -> None:
    setting.worker()(*fragments(documents(["one", "two"])))
    setting.worker()(*fragments(documents(["one", "two, but longer"])))
    assert [text for text, _ in setting.teacher.asked[8:]] == ["two, but longer"] * 4
    setting.worker()(*fragments(documents(["one", "two"], start=50)))
    assert len(setting.teacher.asked) == 12


def test_a_repeated_text_is_asked_and_counted_once(setting: Setting) -> None:
    view = setting.worker()(*fragments(documents(["same", "other", "same", " same "])))
    assert len(setting.teacher.asked) == 8
    assert view.num_rows == 16
    answers = {
        doc_id: [a for d, _, a in said(view) if d == doc_id]
        for doc_id in view["doc_id"].unique().to_pylist()
    }
    assert answers["d0"] == answers["d2"] == answers["d3"]
    assert sum(view["asked"].to_pylist()) == 8
    assert len(setting.stored()) == 8


def test_people_have_the_last_word_and_their_pairs_are_never_asked(setting: Setting) -> None:
    setting.worker(plan={"train": [("hybrid", 1)]})(*unit(1))  # a model was first with label 0
    key = text_key(texts(1)[0])
    for answer in ("yes", "no"):  # the newest counts
        add_human(
            setting.store,
            pa.table(
                {
                    "document": pa.array([key, key], pa.binary(16)),
                    "answer": [answer] * 2,
                    "label": pa.array([text_key("label 0"), text_key("label 1")], pa.binary(16)),
                }
            ),
        )
    view = setting.worker()(*unit(1)).to_pylist()
    assert [row["teacher"] for row in view] == ["human", "human", "t", "t"]
    assert [(row["answer"], row["p_yes"], row["asked"]) for row in view[:2]] == [
        ("no", None, False)
    ] * 2
    assert [label for _, label in setting.teacher.asked] == ["label 0", "label 2", "label 3"]


def test_what_was_answered_before_an_interruption_is_kept(setting: Setting) -> None:
    setting.teacher = Counting(by_length, most=9)
    with pytest.raises(BudgetReached):
        setting.worker()(*unit(5))
    assert len(setting.stored()) == 9
    rest = setting.teacher = Counting(by_length)
    view = setting.worker()(*unit(5))
    assert (len(rest.asked), view.num_rows) == (11, 20)
    assert set(view["asked"].to_pylist()) == {True}  # by this step, in whichever of its starts


def test_an_interruption_in_the_second_part_keeps_the_first(setting: Setting) -> None:
    count = CHECKED_DOCUMENTS + 4
    setting.teacher = Counting(by_length, most=4 * CHECKED_DOCUMENTS + 3)
    worker = setting.worker()
    with pytest.raises(BudgetReached):
        worker(*unit(count))
    assert len(setting.stored()) == 4 * CHECKED_DOCUMENTS + 3
    setting.teacher.most = None
    assert worker(*unit(count)).num_rows == 4 * count  # the same process goes on
    assert len(setting.teacher.asked) == len(set(setting.teacher.asked)) == 4 * count


def test_a_useless_judge_stops_early_and_stops_again_without_a_question(setting: Setting) -> None:
    setting.teacher = Counting(say_no)
    plan = {"train": [("hybrid", 5), ("dense", 4)]}
    for _ in range(2):
        with pytest.raises(JudgeUseless, match="says no to every pair"):
            setting.worker(plan=plan)(*unit(40))
        assert len(setting.teacher.asked) == len(setting.stored()) == 7 * CHECKED_DOCUMENTS
    view = setting.worker(plan=plan, check=False)(*unit(40))  # --force
    assert view.num_rows == len(setting.stored()) == 7 * 40


def test_a_useless_judge_is_found_out_over_small_units_too(setting: Setting) -> None:
    setting.teacher = Counting(say_no)
    worker = setting.worker()
    for start in (0, 10):
        worker(*fragments(documents(texts(40)[start : start + 10], start=start)))
    with pytest.raises(JudgeUseless, match="after 120 pairs"):
        worker(*fragments(documents(texts(40)[20:30], start=20)))
    assert len(setting.stored()) == 120


def test_answers_of_people_do_not_hide_a_useless_judge(setting: Setting) -> None:
    setting.teacher = Counting(say_no)
    documents_keys = [text_key(text) for text in texts(40)[:10]]
    add_human(
        setting.store,
        pa.table(
            {
                "document": pa.array(documents_keys, pa.binary(16)),
                "answer": ["yes"] * 10,
                "label": pa.array([text_key("label 0")] * 10, pa.binary(16)),
            }
        ),
    )
    with pytest.raises(JudgeUseless, match="after 150 pairs: it says no to every pair"):
        setting.worker()(*unit(40))


def test_a_rare_yes_is_no_reason_to_stop_where_the_order_counts(setting: Setting) -> None:
    setting.teacher = Counting(say_no)
    assert setting.worker(by_order=True)(*unit(40)).num_rows == 160


def test_a_stricter_mass_makes_answers_unclear_without_a_question(setting: Setting) -> None:
    before = setting.worker()(*unit())
    setting.teacher = Counting(never)
    strict = setting.worker(least_mass=0.9)(*unit())
    assert set(strict["answer"].to_pylist()) == {"unclear"}
    assert strict["p_yes"].null_count == strict.num_rows
    assert setting.worker(least_mass=0.0)(*unit()).equals(before)


def test_what_the_judge_says_is_counted_for_those_who_look_on(setting: Setting) -> None:
    before = progress.snapshot().amounts
    view = setting.worker()(*unit(3))
    now = progress.snapshot().amounts
    told = {name: now[name] - before.get(name, 0) for name in ("answered", "yes")}
    assert told == {"answered": view.num_rows, "yes": view["answer"].to_pylist().count("yes")}


def test_the_judge_sees_all_that_its_prompt_shows_of_a_label(setting: Setting) -> None:
    labels = storage.read_table(setting.labels).to_pylist()
    for row in labels:
        row |= {"description": f"about {row['label_id']}", "aliases": [f"a{row['label_id']}", "b"]}
    table = schemas.conform(pa.Table.from_pylist(labels), schemas.LABELS)
    storage.write_table(setting.labels, table)
    prompt = replace(get_prompt("tag"), label="{label}; {description}; {aliases}")
    setting.worker(prompt=prompt)(*unit(1))
    assert [label for _, label in setting.teacher.asked] == [
        f"label {n}; about {n}; a{n}, b" for n in range(4)
    ]


def test_engines_of_a_machine_start_one_after_the_other(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    starting, most = [], []
    build = judge.build_teacher

    def slowly(*settings: Any) -> Any:
        starting.append(1)
        most.append(len(starting))
        time.sleep(0.05)
        starting.pop()
        return build(*settings)

    monkeypatch.setattr(judge, "build_teacher", slowly)
    workers = [setting.worker(f"step {n}") for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda worker: worker(*unit(2)), workers))
    assert most == [1, 1, 1]


def test_a_node_with_other_files_of_the_model_is_refused(setting: Setting) -> None:
    setting.teacher.fingerprint = "another"
    with pytest.raises(JudgeRefused, match=r"judge\.teacher\.model: this node holds other files"):
        setting.worker()(*unit())
    assert setting.stored() == []


def test_the_store_keeps_what_the_judge_is(setting: Setting) -> None:
    setting.worker(about={"model": "m"})(*unit())
    setting.worker(about={"model": "other"})(*unit(9))
    assert setting.partition.describe({})["model"] == "m"


def test_a_hub_model_that_is_another_commit_is_noticed(setting: Setting) -> None:
    setting.teacher.commit = "a1"
    setting.worker(about={"model": "m"})(*unit())
    setting.teacher.commit = "b2"
    with pytest.raises(JudgeRefused, match=r"b2 now.*of commit a1.*judge\.teacher\.revision"):
        setting.worker(about={"model": "m"})(*unit(9))


def test_a_budget_ends_the_asking_and_is_spent_to_the_last_question(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmtx_ray.stages.judge.build_teacher", build_teacher)

    def worker(requests: int) -> tuple[AskTeacher, Ledger]:
        ledger = Ledger(BudgetConfig(requests=requests), str(tmp_path / "spent"))
        teacher = build_teacher(setting.worker()._asking.teacher, setting.worker()._asking.prompt)
        identity = (teacher.prompt_fingerprint, teacher.fingerprint)
        partition = setting.store.partition(identity[1], identity[0])
        return setting.worker(
            identity=identity, known=partition.snapshot(), budget=ledger, check=False
        ), ledger

    first, ledger = worker(30)
    with pytest.raises(BudgetReached, match="the 30 requests are used up"):
        first(*unit(10))
    assert ledger.close()[0] == 30
    second, ledger = worker(41)
    assert second(*unit(10)).num_rows == 40
    assert ledger.close()[0] == 40
    third, ledger = worker(1000)  # a whole block is taken, and what is left of it returned
    assert third(*unit(12)).num_rows == 48
    assert ledger.close()[0] == 48
