"""How the steps of a run ask their judge."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lmtx_ray.config.judge import BudgetConfig
from lmtx_ray.config.loading import load_config
from lmtx_ray.loop.judging import asking_of
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.stages.budget import shared_budget, worker_budget
from lmtx_ray.stages.judge import Asking
from lmtx_ray.teacher.protocol import BudgetReached
from lmtx_ray.teacher.questions import judge_asks, select_asks
from tests.small_run import write


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write(tmp_path / "documents.jsonl", [{"uid": "d", "title": "T", "content": "words"}])
    write(tmp_path / "labels.jsonl", [{"uid": "L", "title": "label"}])
    return tmp_path


def asking(inputs: Path, step: str, cycle: int, *overrides: str) -> Asking:
    given = [
        f"run={inputs / 'run'}",
        f"corpus.documents=[{inputs / 'documents.jsonl'}]",
        f"corpus.labels={inputs / 'labels.jsonl'}",
        "encoder.model=some/encoder",
        "judge.teacher.kind=lexical",
    ]
    config = load_config(RunConfig, None, [*given, *overrides])
    plan = select_asks(config.judge) if step == "select" else judge_asks(config.judge, cycle == 1)
    return asking_of(config, lay_out(config), plan, {}, cycle)


def test_a_judge_is_checked_on_its_first_candidates_only(inputs: Path) -> None:
    """What a trained student adds may all be accepted, or all be refused: that says nothing."""
    assert asking(inputs, "judge", 1).check
    assert not asking(inputs, "judge", 1, "judge.check=false").check
    assert not asking(inputs, "select", 1).check
    assert not asking(inputs, "judge", 2).check


def test_a_run_that_accepts_by_order_is_checked_by_order(inputs: Path) -> None:
    assert not asking(inputs, "judge", 1).by_order
    assert asking(inputs, "judge", 1, "pseudo_labels.accept_deviations=1").by_order


@pytest.mark.ray
def test_a_budget_holds_over_workers_and_each_start_has_its_own_keeper(
    ray_cluster, tmp_path: Path
) -> None:
    """A worker that is kept for the next step is known by what it was made from: it must not go on
    with the keeper of an earlier start, which is gone."""
    seen = []
    for limit, taken in ((10, 10), (25, 15)):
        with shared_budget(BudgetConfig(requests=limit), str(tmp_path / "spent")) as ledger:
            workers = [worker_budget(ledger), worker_budget(pickle.loads(pickle.dumps(ledger)))]
            for n in range(taken):
                workers[n % 2].take(1, 10)
            with pytest.raises(BudgetReached, match=f"the {limit} requests are used up"):
                workers[0].take(1, 10)
            assert repr(pickle.loads(pickle.dumps(ledger))) == repr(ledger)
            seen.append(repr(ledger))
    assert seen[0] != seen[1]
    with shared_budget(BudgetConfig(), str(tmp_path / "spent")) as ledger:
        assert worker_budget(ledger) is None
