"""What was answered is kept before a unit is through, a halted worker asks no more, and
no pair is lost where a judge leaves one out."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io import halting
from lmtx_ray.stages import kept_verdicts
from lmtx_ray.teacher.protocol import BudgetReached, Halted
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.verdicts.layers import merge
from tests.stages.asking import Counting, Setting, by_length, documents, fragments, said

ENDPOINT = TeacherConfig(kind="http", model="m", url="http://127.0.0.1:1", concurrency=3)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return Setting(tmp_path, monkeypatch)


def unit(count: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    return fragments(documents([f"a text of number {n}" for n in range(count)]))


def kept_meanwhile(setting: Setting, count: int, at_once: int, calibration: str) -> list[int]:
    """How many answers are stored at each question of an endpoint about `count` documents."""
    kept: list[int] = []

    def say(text: str, label: str) -> Reading:
        kept.append(len(setting.stored()))
        return by_length(text, label)

    setting.teacher = Counting(say)
    url = "http://127.0.0.1:1"
    teacher = TeacherConfig(kind="http", model="m", url=url, concurrency=at_once)
    setting.worker(teacher=teacher, calibration=calibration)(*unit(count))
    return kept


def test_answers_of_an_endpoint_are_kept_while_a_unit_is_under_way(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_verdicts, "ROUNDS", 2)
    assert kept_meanwhile(setting, 5, 3, "none") == [n // 6 * 6 for n in range(20)]


def test_priors_of_labels_are_kept_while_an_endpoint_is_asked_for_them(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_verdicts, "ROUNDS", 2)
    assert kept_meanwhile(setting, 1, 1, "prior") == [0, 0, 2, 2, 4, 4, 6, 6]
    assert len(setting.stored()) == len(setting.teacher.asked) == 8


def test_what_another_run_is_answered_meanwhile_is_not_asked_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both began before either had asked anything, and the second looks between its questions."""
    monkeypatch.setattr(kept_verdicts, "ROUNDS", 2)
    ours, theirs = (setting.worker(name, teacher=ENDPOINT) for name in ("ours", "theirs"))
    began = ours(*unit(2))
    merge(setting.partition)

    def meanwhile(text: str, label: str) -> Reading:
        if len(setting.teacher.asked) == 8 + 1:
            ours(*unit(5))
        return by_length(text, label)

    setting.teacher.say = meanwhile
    found = theirs(*unit(5))
    twice = Counter(setting.teacher.asked)
    assert len(twice) == 5 * 4
    assert sum(times > 1 for times in twice.values()) <= 2 * 3  # of what both asked at that moment
    assert said(found) == said(ours(*unit(5)))
    assert said(began) == said(found)[:8]


def test_each_unit_of_a_worker_hears_what_another_run_was_answered(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are under way at once, and the other one looked first."""
    monkeypatch.setattr(kept_verdicts, "ROUNDS", 2)
    ours, theirs = (setting.worker(name, teacher=ENDPOINT) for name in ("ours", "theirs"))

    def meanwhile(text: str, label: str) -> Reading:
        if len(setting.teacher.asked) == 1:
            ours(*unit(5))
            theirs(*fragments(documents(["another text"])))
        return by_length(text, label)

    setting.teacher = Counting(meanwhile)
    theirs(*unit(5))
    twice = Counter(setting.teacher.asked)
    assert sum(times > 1 for times in twice.values()) <= 2 * 3


def test_what_a_worker_kept_before_it_died_is_not_asked_again(setting: Setting) -> None:
    """Another takes its place, which knows what the step began with."""
    first, second = (setting.worker("step", teacher=ENDPOINT) for _ in range(2))
    setting.teacher = Counting(by_length, most=8)
    with pytest.raises(BudgetReached):
        first(*unit(5))
    setting.teacher = Counting(by_length)
    assert second(*unit(5)).num_rows == 5 * 4
    assert len(setting.teacher.asked) == 5 * 4 - 8


def test_where_bits_repeat_a_unit_asks_all_that_it_asked_alone(setting: Setting) -> None:
    ours, theirs = setting.worker("ours"), setting.worker("theirs")
    ours(*unit(2))
    theirs(*unit(2))
    assert len(setting.teacher.asked) == 2 * 8


def test_a_halted_worker_asks_nothing_more(setting: Setting) -> None:
    halted = threading.Event()
    halted.set()
    with halting.heeding(halted), pytest.raises(Halted):
        setting.worker()(*unit(2))
    assert not setting.teacher.asked


def test_what_was_answered_before_a_failure_of_any_kind_is_kept(setting: Setting) -> None:
    setting.teacher = Counting(by_length, most=5, problem=OSError)  # as of a budget's store
    with pytest.raises(OSError, match="used up"):
        setting.worker()(*unit(3))
    paid = setting.teacher.asked
    setting.teacher = Counting(by_length)
    setting.worker()(*unit(3))
    assert len(setting.teacher.asked) == 12 - 5
    assert not set(paid) & set(setting.teacher.asked)


def test_a_judge_that_leaves_a_pair_out_ends_the_unit(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = setting.teacher.judge
    monkeypatch.setattr(setting.teacher, "judge", lambda questions: plain(questions).slice(1))
    with pytest.raises(RuntimeError, match="did not answer each question once"):
        setting.worker()(*unit(2))


@pytest.mark.parametrize("known", ["", None])
def test_a_judge_whose_commit_nobody_kept_goes_on(setting: Setting, known: str | None) -> None:
    setting.partition.describe({"model": "m"} if known is None else {"model": "m", "commit": known})
    setting.teacher.commit = "a1"
    assert setting.worker(about={"model": "m"})(*unit(1)).num_rows == 4
