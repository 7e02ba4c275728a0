"""A shell in an empty folder, in which `lmtx` and `python` are this checkout's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INDENTED = re.compile(r"^(?:    \S.*\n)+", re.MULTILINE)


def indented_blocks(page: str) -> list[str]:
    """The indented blocks of a page, each without its indentation."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [re.sub("^    ", "", block, flags=re.MULTILINE) for block in INDENTED.findall(text)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a shell, with what `folder`/bin gets."""
    tools = folder / "bin"
    tools.mkdir()
    for name, words in (("lmtx", f"{sys.executable} -m lmtx_ray.cli"), ("python", sys.executable)):
        (tools / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (tools / name).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **more}
    given.pop("RAY_ADDRESS", None)
    return given


def walk(script: str, folder: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The script, stopped by the first command that fails, which none does."""
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{script}"], cwd=folder, env=given, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done
