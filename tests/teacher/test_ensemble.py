"""Several judges as one: the mean of their log-odds, who agrees with whom, and what is refused."""

from __future__ import annotations

import math

import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.teacher.ensemble import EnsembleTeacher, agreement, combined, names_of
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import paid_for
from lmtx_ray.teacher.registry import build_teacher
from tests.stages.asking import Counting, by_length
from tests.teacher.asking import asked

TAG = get_prompt("tag")
TWO = {"kind": "ensemble", "members": [{"kind": "lexical"}, {"kind": "lexical", "prompt": "tag"}]}


def said(answer: str, p_yes: float | None = None) -> dict:
    return {"answer": answer, "p_yes": p_yes}


def config(*members: dict, **more: object) -> TeacherConfig:
    return load_config(TeacherConfig, {"kind": "ensemble", "members": list(members), **more})


def test_log_odds_are_averaged() -> None:
    got = combined([said("yes", 0.9), said("no", 0.2)])
    odds = (math.log(9) + math.log(0.25)) / 2
    assert got.p_yes == pytest.approx(1 / (1 + math.exp(-odds)))
    assert (got.answer, got.mass, got.raw) == ("yes", None, "yes 0.9000 | no 0.2000")


@pytest.mark.parametrize(
    ("rows", "answer", "p_yes"),
    [
        ([said("yes", 0.8), said("unclear")], "yes", 0.8),
        ([said("unclear", 0.9), said("no", 0.3)], "no", 0.3),  # with too little mass behind it
        ([said("unclear"), said("unclear")], "unclear", None),
        ([said("yes"), said("no")], "no", 0.5),
        ([said("yes"), said("yes")], "yes", 0.9),
        ([said("yes", 1.0), said("no", 0.0)], "no", 0.5),
        ([said("yes", 1.0), said("no", 0.4), said("no", 0.4)], "yes", 0.987),
    ],
)
def test_who_is_unclear_has_no_say_and_nobody_is_infinitely_sure(rows, answer, p_yes) -> None:
    got = combined(rows)
    assert got.answer == answer
    assert got.p_yes == (None if p_yes is None else pytest.approx(p_yes, abs=1e-3))


def test_agreement_is_told_for_each_two_members() -> None:
    raws = ["yes 0.9 | yes 0.8"] * 4 + ["no 0.1 | no 0.2"] * 4 + ["yes 0.6 | no 0.4", "no | yes"]
    [one] = agreement([*raws, "unclear | yes 0.9", "of another judge"], ["a", "b"])
    assert one == {"members": ["a", "b"], "pairs": 10, "equal": 0.8, "kappa": 0.6}
    three = agreement(["yes | yes | no", "no | no | yes"], ["a", "b", "c"])
    assert [(pair["members"], pair["kappa"]) for pair in three] == [
        (["a", "b"], 1.0),
        (["a", "c"], -1.0),
        (["b", "c"], -1.0),
    ]
    assert agreement([], ["a", "b"])[0]["equal"] is None
    assert agreement(["yes | yes"], ["a", "b"])[0]["kappa"] is None


def test_an_ensemble_answers_for_its_members() -> None:
    teacher = build_teacher(config(*TWO["members"]), TAG)
    one = build_teacher(TeacherConfig(kind="lexical"), TAG)
    table = asked("heart disease", "the ear", "lung")
    got, alone = teacher.judge(table).to_pylist(), one.judge(table).to_pylist()
    assert [row["answer"] for row in got] == [row["answer"] for row in alone]
    assert [row["raw"].count("|") for row in got] == [1, 1, 1]
    assert teacher.usage.requests == 2 * one.usage.requests


def test_its_identity_is_that_of_its_members_and_of_how_they_are_read() -> None:
    known = teacher_identity(config(*TWO["members"]), TAG)
    assert teacher_identity(config(*TWO["members"], threads=3), TAG) == known
    first, second = TWO["members"]
    for members in (
        [first, first, second],
        [first, {**second, "least_mass": 0.5}],
        [first, {**second, "prompt": "wiki_tag"}],
        [first, {"kind": "vllm", "model": "some/model"}],
    ):
        assert teacher_identity(config(*members), TAG) != known


def test_what_is_no_ensemble_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs two members or more"):
        config({"kind": "lexical"})
    with pytest.raises(ConfigError, match="cannot be of kind none"):
        config({"kind": "lexical"}, {"kind": "none"})
    with pytest.raises(ConfigError, match=r"members\.1\.modle: unknown key; did you mean model"):
        config({"kind": "lexical"}, {"kind": "lexical", "modle": "x"})


def test_members_have_to_see_the_same_of_a_label(tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        'before: "<<<\\n"\nlabel: "\\n>>> {label}: {description}"\nafter: "\\nyes or no?"'
    )
    members = {"kind": "lexical"}, {"kind": "lexical", "prompt": str(own)}
    with pytest.raises(ConfigError, match=r"members\.1\.prompt: .*shows another part of a label"):
        build_teacher(config(*members), TAG)


def test_members_are_called_by_their_models() -> None:
    made = config(
        {"kind": "reranker", "model": "a/one"},
        {"kind": "vllm", "model": "/models/one/"},
        {"kind": "lexical"},
    )
    assert names_of(made) == ["one (1)", "one (2)", "lexical"]


def test_what_one_member_said_before_a_failure_is_no_answer_of_all() -> None:
    members = Counting(by_length), Counting(by_length, most=1, problem=OSError)
    teacher = EnsembleTeacher(load_config(TeacherConfig, TWO), TAG, members)
    with pytest.raises(OSError, match="used up") as got:
        teacher.judge(asked("heart", "lung"))
    assert paid_for(got.value) is None
