"""The sizing arithmetic, against numbers worked out by hand, and the table that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import sizing

README = Path(__file__).resolve().parent.parent.parent / "cluster" / "README.md"
WORK = sizing.Workload(30_000, 3_000_000, sizing.MEDIUM, 1)


def test_a_shared_prefix_computes_a_document_once() -> None:
    # 10 x (45 + 430 + 30), and 45 + 430 + 10 x (30 + 8)
    assert sizing.judge_tokens(WORK, shared_prefix=False) == 30_000 * 5_050
    assert sizing.judge_tokens(WORK, shared_prefix=True) == 30_000 * 855


def test_hours_and_memory_follow_from_rates() -> None:
    minutes = 60 * sizing.hours(30_000 * 855, 60_000)
    assert minutes == pytest.approx(7.125)
    assert sizing.hours(3.6e6, 100, workers=10) == 1
    assert sizing.index_bytes(3_000_000, 768) == 11_532_000_000
    assert sizing.encoder_tokens(WORK) == 30_000 * 430 + 3_000_000 * 16


def test_the_table_of_the_readme_is_what_the_functions_give() -> None:
    assert sizing.table() in README.read_text(encoding="utf-8")
