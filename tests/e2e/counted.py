"""Runs whose judge counts what it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from lmtx_ray.config.loading import load_config
from lmtx_ray.loop.cycle import run_cycles
from lmtx_ray.loop.ending import finish
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.protocol import PLAIN_TEXT
from tests.fake_llm import FakeJudge
from tests.started import start


def go(config: Path, run: Path, *overrides: str, stop: str | None = None) -> dict[str, Any]:
    settings = load_config(RunConfig, str(config), [f"run={run}", *overrides])
    result = run_cycles(settings, lay_out(settings), stop)
    return finish(settings, result) if stop is None else {}


def at(judge: FakeJudge) -> str:
    return f"judge.teacher.url={judge.url}"


def asked(judge: FakeJudge) -> Counter[tuple[str, str]]:
    """(document, label) -> how often it was asked, the first question left out."""
    return Counter(asked_first(judge, None))


def asked_first(judge: FakeJudge, most: int | None) -> list[tuple[str, str]]:
    """The pairs of the first `most` requests, the first question left out."""
    prompts = [request["body"]["messages"][-1]["content"] for request in judge.requests[:most]]
    pairs = [
        (p.partition("<<<\n")[2].partition("\n>>>")[0], p.split("«")[1].split("»")[0])
        for p in prompts
    ]
    return [pair for pair in pairs if pair[0] != PLAIN_TEXT]


def lmtx(config: Path, run: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    sets = [part for text in (f"run={run}", *overrides) for part in ("--set", text)]
    command = [sys.executable, "-m", "lmtx_ray.cli", "run", str(config), "--until", "judge", *sets]
    return start(command, env={**os.environ, **environment})
