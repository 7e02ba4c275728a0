"""Shared fixtures: one Ray cluster for the session, and few threads everywhere."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import started
from tests.lake import place, s3_process, server  # noqa: F401  fixtures
from tests.served_judge import judge, shared_judge  # noqa: F401  fixtures

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # nobody takes this machine away
# what a user has there stays, and nothing there decides a test
USERS_OWN = tempfile.mkdtemp(prefix="lmtx-tests-")
for kind in ("CACHE", "LOG", "STATE"):
    os.environ[f"LMTX_{kind}_DIR"] = os.path.join(USERS_OWN, kind.lower())
settings.register_profile("lmtx", deadline=None)  # how long an example takes says nothing here
settings.load_profile("lmtx")


def pytest_unconfigure() -> None:
    shutil.rmtree(USERS_OWN, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_outlives_its_test() -> Iterator[None]:
    yield
    started.end_all()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local cluster with 2 CPUs, stopped at the end."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()
