"""What a judge thinks of a label alone: asked once, kept, and taken out of its answers."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.io import storage
from lmtx_ray.stages import judge
from lmtx_ray.teacher.priors import NOTHING, Calibration, log_odds
from lmtx_ray.teacher.protocol import BudgetReached
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.verdicts.layers import merge
from tests.stages.asking import Counting, Setting, documents, fragments

PRIOR = {"calibration": "prior"}


def likes(text: str, label: str) -> Reading:
    """A judge that likes labels of high numbers, and knows of documents only their length."""
    odds = int(label.split()[-1]) - 3 + (0.0 if text == NOTHING else len(text) - 5.5)
    p_yes = 1 / (1 + math.exp(-odds))
    return Reading("yes" if p_yes > 0.5 else "no", p_yes, 0.8)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    made = Setting(tmp_path, monkeypatch)
    made.teacher = Counting(likes)
    return made


def unit(*texts: str):
    return fragments(documents(list(texts)))


def test_the_prior_is_taken_out_of_every_answer(setting: Setting) -> None:
    view = setting.worker(**PRIOR)(*unit("long text", "tiny"))
    odds = [log_odds(p) for p in view["p_yes"].to_pylist()]
    assert odds == pytest.approx([3.5] * 4 + [-1.5] * 4, abs=1e-4)
    assert view["answer"].to_pylist() == ["yes"] * 4 + ["no"] * 4
    raw = {row["p_yes"] for row in setting.stored()}
    assert len(raw) > 4  # what is kept is what was said


def test_a_label_is_asked_once_in_all_units_and_runs(setting: Setting) -> None:
    worker = setting.worker(**PRIOR)
    worker(*unit("long text"))
    worker(*unit("another one"))
    setting.worker(source="another run", **PRIOR)(*unit("a third"))
    alone = [label for text, label in setting.teacher.asked if text == NOTHING]
    assert sorted(alone) == [f"label {n}" for n in range(4)]


def unclear(text: str, label: str) -> Reading:
    return Reading("unclear", raw="refused")


def test_what_another_worker_learned_meanwhile_is_not_asked_again(setting: Setting) -> None:
    first, second = setting.worker(**PRIOR), setting.worker(**PRIOR)
    views = [first(*unit("long text")), second(*unit("another one"))]
    alone = [label for text, label in setting.teacher.asked if text == NOTHING]
    assert sorted(alone) == [f"label {n}" for n in range(4)]
    assert {p > 0.5 for view in views for p in view["p_yes"].to_pylist()} == {True}


def test_nor_is_an_unclear_prior_of_another_worker(setting: Setting) -> None:
    setting.teacher = Counting(unclear)
    for worker in [setting.worker(**PRIOR), setting.worker(**PRIOR)]:
        worker(*unit("long text"))
    assert len([text for text, _ in setting.teacher.asked if text == NOTHING]) == 4


def test_answers_of_before_are_read_the_new_way_without_asking_again(setting: Setting) -> None:
    plain = setting.worker()(*unit("long text"))
    asked = len(setting.teacher.asked)
    moved = setting.worker(source="next", **PRIOR)(*unit("long text"))
    assert len(setting.teacher.asked) - asked == 4  # the labels alone
    assert moved["p_yes"].to_pylist() != plain["p_yes"].to_pylist()
    assert not any(moved["asked"].to_pylist())
    back = setting.worker(source="last")(*unit("long text"))
    assert back["p_yes"].to_pylist() == plain["p_yes"].to_pylist()


def test_a_temperature_makes_a_judge_less_sure_and_changes_no_answer(setting: Setting) -> None:
    plain = setting.worker()(*unit("long text", "tiny"))
    warm = setting.worker(source="next", temperature=2.0)(*unit("long text", "tiny"))
    assert warm["answer"].to_pylist() == plain["answer"].to_pylist()
    odds = [[log_odds(p) / t for p in v["p_yes"].to_pylist()] for v, t in ((plain, 2), (warm, 1))]
    assert odds[0] == pytest.approx(odds[1], abs=1e-4)


@pytest.mark.parametrize("problem", [BudgetReached, OSError])
def test_what_was_paid_for_labels_is_kept_when_a_budget_ends(
    setting: Setting, problem: type[Exception]
) -> None:
    setting.teacher = Counting(likes, most=2, problem=problem)
    with pytest.raises(problem):
        setting.worker(**PRIOR)(*unit("long text"))
    assert len(setting.stored()) == 2
    setting.teacher = Counting(likes)
    setting.worker(**PRIOR)(*unit("long text"))
    alone = [label for text, label in setting.teacher.asked if text == NOTHING]
    assert sorted(alone) == ["label 2", "label 3"]


def test_an_unclear_prior_is_not_asked_again_once_its_part_is_merged(setting: Setting) -> None:
    setting.teacher = Counting(unclear)
    setting.worker(**PRIOR)(*unit("long text"))
    assert merge(setting.partition)
    for name in setting.partition.part_names():  # as a later merge does, a day after
        storage.remove_file(storage.join(setting.partition.uri, "parts", name))
    setting.worker(source="another run", **PRIOR)(*unit("a third"))
    alone = [label for text, label in setting.teacher.asked if text == NOTHING]
    assert sorted(alone) == [f"label {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("deterministic", "has_gpu", "together"),
    [(None, False, 1), (None, True, 4), (False, False, 4), (True, True, 1)],
)
def test_priors_are_asked_one_by_one_only_where_bits_have_to_repeat(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, deterministic, has_gpu, together
) -> None:
    monkeypatch.setattr(judge, "has_gpu", lambda: has_gpu)
    plain, sizes = setting.teacher.judge, []

    def asked(questions: pa.Table) -> pa.Table:
        sizes.append(sum(map(len, questions["label_ids"].to_pylist())))
        return plain(questions)

    monkeypatch.setattr(setting.teacher, "judge", asked)
    setting.worker(deterministic=deterministic, **PRIOR)(*unit("long text"))
    assert sizes == [*[together] * (4 // together), 4]  # the labels alone, then the document


def test_a_label_without_a_prior_and_ends_of_the_scale_are_read_as_they_are() -> None:
    read = Calibration({b"a": 1.0, b"b": 0.0})
    assert read.of(b"c", 0.37) == 0.37
    assert 0 < read.of(b"a", 0.0) < 1e-9
    assert read.of(b"b", 1.0) > 1 - 1e-9
    assert read.of(b"a", 1.0) == 0.5
