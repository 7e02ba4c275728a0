"""What stages ask of Ray and no machine has is said at once: Ray would wait for it without end."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.loop import room, running
from lmtx_ray.loop.machine import Machine
from lmtx_ray.loop.room import Ask, check_room, lack_here, without_room
from lmtx_ray.loop.run_config import RunConfig
from tests.small_run import write_inputs

LAPTOP = Machine(2, 16.0)
JUDGE = {"teacher": {"kind": "lexical", "prompt": "tag"}}


def config(**settings: object) -> RunConfig:
    corpus = {"documents": "d.csv", "labels": "l.csv"}
    return RunConfig.model_validate({"run": "r", "corpus": corpus, "judge": JUDGE, **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"fit": {"workers": 4}, "resources": {"fit": {"cpus": 0.5}}}, ""),
        ({"fit": {"workers": [1, 4]}}, ""),  # takes what fits
        ({"resources": {"judge": {"actors": 8}}}, ""),  # of a pool one is enough to begin
        ({"judge": {"teacher": {"kind": "none"}}, "resources": {"judge": {"gpus": 1}}}, ""),
        (
            {"fit": {"workers": 4}},
            "fit.workers with resources.fit asks for 1 CPU, 4 times, and this machine has 2 cores, "
            "16 GiB of memory, no GPU",
        ),
        (
            {"resources": {"judge": {"cpus": 2, "gpus": 1}}},
            "resources.judge asks for 2 CPUs and 1 GPU, and this machine has 2 cores, 16 GiB of "
            "memory, no GPU",
        ),
        (
            {"resources": {"embed": {"cpus": 3}}},
            "resources.embed asks for 3 CPUs, and this machine has 2 cores, 16 GiB of memory, no "
            "GPU",
        ),
    ],
)
def test_what_this_machine_lacks_is_named_by_its_setting(
    settings: dict[str, object], said: str
) -> None:
    assert lack_here(config(**settings), LAPTOP) == said


def test_a_node_must_hold_each_and_the_cluster_all() -> None:
    whole, halves = Ask("a", 4, 1), Ask("b", 1, 0.5, 4)
    nodes = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 8.0}]
    assert without_room([whole, halves], nodes) == [whole, halves]
    assert without_room([whole], [{"CPU": 4.0, "GPU": 1.0}]) == []
    assert without_room([halves], [{"CPU": 2.0, "GPU": 1.0}] * 2) == []


def test_a_run_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "this_machine", lambda: LAPTOP)
    monkeypatch.setattr(room, "_is_running", lambda: False)
    with pytest.raises(ConfigError, match=r"fit\.workers .* 4 times"):
        check_room(config(fit={"workers": 4}))


@pytest.mark.ray
def test_a_cluster_may_get_what_it_lacks(
    ray_cluster: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        room.warn_of_room(config(resources={"judge": {"gpus": 1}}))
    assert caplog.messages == [
        "resources.judge asks for 1 CPU and 1 GPU: the cluster has no room for it yet, and it is "
        "waited for"
    ]


def test_a_plan_for_a_cluster_is_made_here_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = write_inputs(tmp_path)
    with caplog.at_level(logging.WARNING):
        planned = running.plan(str(config), [f"run={tmp_path / 'run'}", "fit.workers=1000"])
    assert planned["documents"]["train"]
    assert any("asks for 1 CPU, 1000 times" in message for message in caplog.messages)
