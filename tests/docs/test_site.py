"""The documentation: it builds without a network, and what it shows is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lmtx_ray.loop.run_config import RunConfig

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CORPUS = {"documents": ["d.jsonl"], "labels": "l.jsonl"}
YAML_BLOCKS = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in sorted([*(DOCS / "howto").glob("*.md")])
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL))
]


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html"))
    fetched = re.findall(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"?(https?:[^\s\">]+)", pages)
    assert not fetched


def test_the_reference_is_that_of_the_code() -> None:
    sys.path.insert(0, str(DOCS))
    try:
        import generate
    finally:
        sys.path.remove(str(DOCS))
    for name, make in generate.PAGES.items():
        assert (DOCS / name).read_text(encoding="utf-8") == make(), "make reference"


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_settings_that_are_shown_exist(block: str) -> None:
    shown = yaml.safe_load(block)
    RunConfig.model_validate({"run": "runs/shown", "corpus": CORPUS, **shown})
