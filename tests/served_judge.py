"""A served judge, and waits short enough for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmtx_ray.teacher import pacing
from tests.fake_llm import FakeJudge


@pytest.fixture(scope="module")
def shared_judge() -> Iterator[FakeJudge]:
    with FakeJudge() as judge:
        yield judge


@pytest.fixture
def judge(shared_judge: FakeJudge, monkeypatch: pytest.MonkeyPatch) -> FakeJudge:
    """The module's server, as if nobody had asked it yet."""
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.002)
    monkeypatch.setattr(pacing, "LONGEST_WAIT", 0.01)
    for seen in (shared_judge.requests, shared_judge.tries, shared_judge.connections):
        seen.clear()
    return shared_judge
