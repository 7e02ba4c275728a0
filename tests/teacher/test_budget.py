"""A budget is never overspent: not by threads, not by a kill, not by workers that take blocks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmtx_ray.config.judge import BudgetConfig
from lmtx_ray.io import storage
from lmtx_ray.teacher.budget import Blocks, Ledger
from lmtx_ray.teacher.protocol import BudgetReached


def ledger(folder: Path, requests: int | None = None, tokens: int | None = None) -> Ledger:
    return Ledger(BudgetConfig(requests=requests, tokens=tokens), str(folder / "spent"))


def files(folder: Path) -> list[dict[str, int]]:
    return [storage.read_json(uri) for uri in storage.list_files(str(folder / "spent"))]


def spend(budget: Ledger | Blocks, requests: int = 1, tokens: int = 10) -> int:
    """Takes until nothing is left; returns how often it could."""
    taken = 0
    while True:
        try:
            budget.take(requests, tokens)
        except BudgetReached:
            return taken
        taken += 1


@pytest.mark.parametrize(
    ("limits", "times", "named"),
    [
        ({"requests": 30}, 30, "judge.budget.requests: the 30 requests"),
        ({"tokens": 305}, 30, "judge.budget.tokens: the 305 tokens"),
        ({"requests": 40, "tokens": 305}, 30, "judge.budget.tokens"),
    ],
)
def test_the_limit_is_reached_and_not_passed(tmp_path: Path, limits, times, named) -> None:
    budget = ledger(tmp_path, **limits)
    assert spend(budget) == times
    with pytest.raises(BudgetReached, match=named):
        budget.take(1, 10)
    assert budget.close() == [30, 300]
    assert spend(ledger(tmp_path, **limits)) == 0
    assert spend(ledger(tmp_path, **{name: 2 * limit for name, limit in limits.items()})) >= 30


def test_what_was_refused_or_given_back_is_not_spent(tmp_path: Path) -> None:
    budget = ledger(tmp_path, tokens=100)
    with pytest.raises(BudgetReached):
        budget.take(1, 101)
    budget.take(1, 100)
    budget.give_back(0, 60)
    assert budget.close() == [1, 40]
    again = ledger(tmp_path, tokens=100)
    again.take(1, 60)
    again.give_back(1, 60)
    assert again.close() == [1, 40]
    assert ledger(tmp_path, tokens=100).close() == [1, 40]


def test_threads_never_overspend(tmp_path: Path) -> None:
    budget = ledger(tmp_path, requests=501, tokens=100_000)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: spend(budget), range(8)))
    assert sum(taken) == 501
    assert budget.close() == [501, 5010]


def test_workers_with_blocks_never_overspend_and_return_what_they_hold(tmp_path: Path) -> None:
    budget = ledger(tmp_path, requests=500)
    blocks = [Blocks(budget, 64) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: spend(blocks[n % 4]), range(8)))
    assert sum(taken) == 500
    for block in blocks:
        block.close()
    assert budget.close() == [500, 5000]


def test_what_a_block_returned_is_not_spent_from_it_again(tmp_path: Path) -> None:
    """A worker returns what it holds after each unit, and goes on with the next."""
    budget = ledger(tmp_path, requests=100)
    block = Blocks(budget, 64)
    block.take(1, 10)
    block.close()
    assert spend(block) == 99
    block.close()
    assert budget.close() == [100, 1000]


def test_a_block_asks_near_the_limit_for_no_more_than_it_lacks(tmp_path: Path) -> None:
    block = Blocks(ledger(tmp_path, requests=64), 64)
    block.take(1, 10)
    block.take(1, 700)  # which lacks tokens: all requests are held already
    assert spend(block) == 62


def test_blocks_ask_seldom_and_near_the_limit_for_what_is_needed(tmp_path: Path) -> None:
    class Counting(Ledger):
        asked = 0

        def take(self, requests: int, tokens: int) -> None:
            self.asked += 1
            super().take(requests, tokens)

    inner = Counting(BudgetConfig(requests=70, tokens=10_000), str(tmp_path / "spent"))
    block = Blocks(inner, 32)
    for _ in range(64):
        block.take(1, 10)
    assert inner.asked == 2
    block.give_back(0, 300)
    assert spend(block) == 6
    block.close()
    assert inner.close() == [70, 700 - 300]


@pytest.mark.parametrize(
    "limits", [{"requests": 1000}, {"tokens": 10_000}, {"requests": 1000, "tokens": 10_000}]
)
def test_the_ledger_is_written_in_few_blocks(tmp_path: Path, monkeypatch, limits) -> None:
    written = []
    plain = storage.write_bytes
    monkeypatch.setattr(storage, "write_bytes", lambda *a: (written.append(1), plain(*a)))
    budget = ledger(tmp_path, **limits)
    assert spend(budget) == 1000
    assert len(written) < 100
    assert budget.close() == [1000, 10_000]


def test_a_killed_run_counts_in_full(tmp_path: Path) -> None:
    script = f"""
import os, signal
from lmtx_ray.teacher.budget import BudgetConfig, Ledger
budget = Ledger(BudgetConfig(requests=1000), {str(tmp_path / "spent")!r})
for _ in range(400):
    budget.take(1, 10)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (left,) = files(tmp_path)
    assert 400 <= left["requests"] <= 420
    assert left["tokens"] >= 4000
    next_run = ledger(tmp_path, requests=1000)
    assert 580 <= spend(next_run) <= 600
    assert spend(ledger(tmp_path, tokens=4000)) == 0  # a limit that is set only now counts it too


def test_a_ledger_that_cannot_be_written_spends_nothing(tmp_path: Path, monkeypatch) -> None:
    budget = ledger(tmp_path, requests=100)

    def full(uri: str, data: bytes) -> None:
        raise storage.StorageError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", full)
        for _ in range(2):  # the second time too: nothing of it is on the disk
            with pytest.raises(storage.StorageError):
                budget.take(1, 10)
    assert spend(budget) == 100
    assert budget.close()[0] == 100
