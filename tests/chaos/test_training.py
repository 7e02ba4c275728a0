"""Machines and processes lost while a student is trained: the weights are those of a quiet run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.chaos.nodes import (
    ACTORS,
    FEW_UNITS,
    TIMEOUT_SECONDS,
    TRAIN,
    Nodes,
    disturbed,
    lmtx_run,
    published,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(2 * TIMEOUT_SECONDS)]


@pytest.mark.slow
def test_a_node_lost_while_training_changes_no_weight(
    nodes: Nodes, config: Path, quiet: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "lost"
    command = lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *TRAIN)
    reached = "work/*/checkpoint-*/MANIFEST.json"
    disturbed(nodes, command, run, reached, "encoder-1-*", nodes.lose_one_and_get_another)
    assert published(run) == published(quiet[0])


@pytest.mark.slow
def test_a_training_worker_killed_changes_no_weight(
    nodes: Nodes, config: Path, quiet: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    command = lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *TRAIN)
    reached = "work/*/checkpoint-*/MANIFEST.json"
    kill = partial(nodes.kill_a_worker_process, "RayTrainWorker")
    disturbed(nodes, command, run, reached, "encoder-1-*", kill)
    assert published(run) == published(quiet[0])


@pytest.mark.slow
def test_a_range_of_workers_goes_on_without_a_lost_node(
    nodes: Nodes, config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "fewer"
    elastic = [*TRAIN, "--set", "fit.workers=[1, 2]", "--set", "resources.fit.cpus=1"]
    command = lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *elastic)
    reached = "work/*/checkpoint-*/MANIFEST.json"

    def lose_one() -> None:
        nodes.cluster.remove_node(nodes.workers.pop(), allow_graceful=False)

    try:
        summary = disturbed(nodes, command, run, reached, "encoder-1-*", lose_one)
    finally:
        nodes.workers.append(nodes.add())
    assert summary["methods"]["cycle_1"]["P@1"] > summary["methods"]["encoder"]["P@1"]
