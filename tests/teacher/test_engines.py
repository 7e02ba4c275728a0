"""Which engine runs a model where, and what only vLLM can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher import engines, packed, registry, vllm
from lmtx_ray.teacher.packed_model import CannotPack
from lmtx_ray.teacher.prompts import get_prompt

TAG = get_prompt("tag")


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 2000)
    return str(tmp_path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def has(vllm: bool, gpu: bool) -> None:
        monkeypatch.setattr(engines, "has_vllm", lambda: vllm)
        monkeypatch.setattr(registry, "has_vllm", lambda: vllm)
        monkeypatch.setattr(engines, "has_gpu", lambda: gpu)

    return has


@pytest.mark.parametrize(
    ("vllm", "gpu", "packs"),
    [(True, False, True), (True, True, False), (False, False, True), (False, True, True)],
)
def test_a_small_model_is_packed_where_vllm_has_no_gpu(
    machine: Any, model: str, vllm: bool, gpu: bool, packs: bool
) -> None:
    machine(vllm=vllm, gpu=gpu)
    assert engines.packs(TeacherConfig(model=model)) is packs


def test_a_large_model_is_not_packed_where_there_is_vllm(
    machine: Any, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(vllm=True, gpu=False)
    monkeypatch.setattr(engines, "SMALL_BYTES", 1000)
    assert not engines.packs(TeacherConfig(model=model))
    assert not engines.packs(TeacherConfig(model="not/here"))
    assert engines.packs(TeacherConfig(model=model, engine="packed"))


@pytest.mark.parametrize(
    "setting", [{"engine": "vllm"}, {"thinking_tokens": 9}, {"tensor_parallel_size": 2}]
)
def test_some_settings_need_vllm(machine: Any, model: str, setting: dict[str, Any]) -> None:
    config = TeacherConfig(model=model, **setting)
    machine(vllm=True, gpu=False)
    engines.refuse_missing(config)
    assert not engines.packs(config)
    machine(vllm=False, gpu=False)
    with pytest.raises(ConfigError, match=next(iter(setting))):
        engines.refuse_missing(config)


def test_a_model_that_cannot_be_packed_goes_to_vllm(
    machine: Any, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise CannotPack("it has no attention")

    monkeypatch.setattr(packed, "PackedTeacher", refuse)
    monkeypatch.setattr(vllm, "VllmTeacher", lambda *_: "vllm")
    machine(vllm=True, gpu=False)
    assert registry.build_teacher(TeacherConfig(model=model), TAG) == "vllm"
    with pytest.raises(ConfigError, match="no attention"):
        registry.build_teacher(TeacherConfig(model=model, engine="packed"), TAG)
    machine(vllm=False, gpu=False)
    with pytest.raises(ConfigError, match="no attention"):
        registry.build_teacher(TeacherConfig(model=model), TAG)
