"""The thread of an engine, without one; with vLLM's own it is tested in tests/engine."""

from __future__ import annotations

import gc
import os
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.engine_thread import EngineThread
from lmtx_ray.teacher.protocol import EngineDied
from lmtx_ray.teacher.vllm import _machine_settings


class Echo:
    """Gives back each prompt one step after it came."""

    def __init__(self) -> None:
        self.llm_engine = self
        self.asked: list[Any] = []

    def add_request(self, name: str, prompt: dict[str, Any], sampling: Any) -> None:
        self.asked.append(
            SimpleNamespace(request_id=name, finished=True, ids=prompt["prompt_token_ids"])
        )

    def step(self) -> list[Any]:
        done, self.asked = self.asked, []
        return done


def test_outputs_come_back_in_the_order_of_their_prompts() -> None:
    outputs = EngineThread(Echo).generate([[1, 2], [3]], None)
    assert [output.ids for output in outputs] == [[1, 2], [3]]


def test_what_fails_between_steps_is_told_to_its_caller_alone() -> None:
    thread = EngineThread(Echo)
    with pytest.raises(AttributeError, match="reset_prefix_cache"):
        thread.forget()  # this engine has none
    assert thread.run(lambda engine: len(engine.asked)) == 0
    assert len(thread.generate([[1]], None)) == 1


class EngineDeadError(Exception):
    """Of the name of vLLM's."""


@pytest.mark.parametrize(("error", "told"), [(EngineDeadError, EngineDied), (KeyError, KeyError)])
def test_an_engine_whose_process_is_gone_is_told_from_other_failures(
    error: type[Exception], told: type[Exception]
) -> None:
    class Broken(Echo):
        def step(self) -> list[Any]:
            raise error("gone")

    with pytest.raises(told, match="gone"):
        EngineThread(Broken).generate([[1]], None)


def test_an_engine_goes_once_its_thread_is_closed() -> None:
    thread = EngineThread(Echo)
    engine = weakref.ref(thread.engine)
    assert len(thread.generate([[1]], None)) == 1
    thread.close()
    for _ in range(500):
        gc.collect()  # it holds itself
        if engine() is None:
            return
        time.sleep(0.01)
    raise AssertionError("the engine is still there")


def test_an_engine_on_a_gpu_gets_a_process_that_is_not_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "")
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _machine_settings(TeacherConfig())
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
