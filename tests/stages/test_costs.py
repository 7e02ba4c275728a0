"""What a run spends is written down by whoever spends it, and added up over all its starts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.io.accounts import Account, read_accounts
from lmtx_ray.teacher.protocol import BudgetReached
from tests.stages.asking import Counting, Setting, by_length, documents, fragments


class Paid(Counting):
    """Tells what it used, ten tokens a pair."""

    def judge(self, questions: pa.Table) -> pa.Table:
        before = len(self.asked)
        try:
            return super().judge(questions)
        finally:
            self.usage.requests += len(self.asked) - before
            self.usage.prompt_tokens += 10 * (len(self.asked) - before)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    made = Setting(tmp_path, monkeypatch)
    made.teacher = Paid(by_length)
    return made


def unit(*texts: str) -> tuple[pa.Table, ...]:
    return fragments(documents(list(texts)))


def test_a_judge_writes_down_what_it_used_after_each_unit(setting: Setting, tmp_path: Path) -> None:
    costs = str(tmp_path / "costs")
    worker = setting.worker(costs=costs, step="judge 1")
    worker(*unit("one", "two"))
    first = read_accounts(costs)["judge 1"]
    assert (first["requests"], first["prompt_tokens"]) == (8, 80)
    worker(*unit("three"))
    assert read_accounts(costs)["judge 1"]["requests"] == 12


def test_what_an_interrupted_judge_used_is_not_lost(setting: Setting, tmp_path: Path) -> None:
    costs = str(tmp_path / "costs")
    setting.teacher.most = 5
    with pytest.raises(BudgetReached):
        setting.worker(costs=costs, step="judge 1")(*unit("one", "two"))
    assert read_accounts(costs)["judge 1"]["requests"] == 5
    setting.teacher = Paid(by_length)  # another start
    setting.worker(costs=costs, step="judge 1")(*unit("one", "two"))
    assert read_accounts(costs)["judge 1"]["requests"] == 8  # none was asked twice


def test_a_judge_that_was_not_asked_writes_nothing(setting: Setting, tmp_path: Path) -> None:
    setting.worker()(*unit("one"))
    setting.worker(costs=str(tmp_path / "costs"), step="judge 1")(*unit("one"))
    assert read_accounts(str(tmp_path / "costs")) == {}


def test_a_failing_store_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "costs").write_text("in the way")
    Account(str(tmp_path / "costs")).keep("prepare", {"wall_seconds": 1.0})
    assert "what prepare took is not written down" in caplog.text


def test_processes_are_added_up_and_one_replaces_what_it_said(tmp_path: Path) -> None:
    uri = str(tmp_path / "costs")
    one, other = Account(uri), Account(uri)
    one.keep("prepare", {"wall_seconds": 1.0})
    one.keep("prepare", {"wall_seconds": 2.0})
    other.keep("prepare", {"wall_seconds": 3.0})
    other.keep("judge 1", {"requests": 4})
    assert read_accounts(uri) == {"prepare": {"wall_seconds": 5.0}, "judge 1": {"requests": 4}}
