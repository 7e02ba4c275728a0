"""A bundle for the batch tests, and a cluster of several nodes with a quiet run on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.nodes import ACTORS, FEW_UNITS, TRAIN, Nodes, driver, ended, lmtx_run
from tests.small_run import write_inputs
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle")
    return publish_bundle(folder / "bundle", save_encoder(folder / "model"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def quiet(nodes: Nodes, config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole undisturbed run, and its bundle."""
    run = tmp_path_factory.mktemp("runs") / "quiet"
    with driver(nodes, *lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *TRAIN)) as process:
        return run, ended(process)["bundle"]
