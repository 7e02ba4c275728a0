"""A promotion while one replica of a shard takes its time, on a real service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_apps.ports import free_port
from serve_apps.running import deploy_config
from tests.serving.conftest import UNLIMITED, lmtx, running
from tests.serving.test_service import Asking, tag

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]
PATIENCE_SECONDS, SLOW_SECONDS = 120, 40
DOCUMENTS = [{"id": "a", "text": "heart pain"}]


def wait_until(reached: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        if reached():
            return True
        time.sleep(0.2)
    return False


def test_the_old_bundle_answers_until_the_slowest_replica_holds_the_new(
    bundle: str, other_bundle: str, tmp_path: Path
) -> None:
    config = deploy_config(
        bundle, "127.0.0.1", free_port(), threads=1, shards=2, shard_replicas=2, guard=UNLIMITED
    )
    config["applications"][0]["import_path"] = "tests.serving.slow_shard:app"
    gate = Path(f"{other_bundle}.slow")
    gate.touch()
    with running(config, tmp_path) as service, Asking(lambda: tag(service.url, DOCUMENTS)) as asked:
        promoted: list[int] = []
        promoting = threading.Thread(
            target=lambda: promoted.append(
                lmtx("promote", "--bundle", other_bundle, "--address", service.ray).returncode
            )
        )
        promoting.start()
        assert wait_until(Path(f"{other_bundle}.waiting").exists)
        time.sleep(SLOW_SECONDS)  # longer than the others need, and than the old one is kept
        before = len(asked.replies)
        assert promoting.is_alive()
        gate.unlink()
        promoting.join()
        assert promoted == [0]
    replies = [(reply.status_code, reply.json().get("bundle_id")) for reply in asked.replies]
    assert set(replies[:before]) == {(200, "bundle-one")}
    assert set(replies) == {(200, "bundle-one"), (200, "bundle-two")}
