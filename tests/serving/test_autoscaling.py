"""Engines follow the load, up and down."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from serve_apps.ports import free_port
from serve_apps.running import deploy_config
from tests.chaos.test_service import replicas
from tests.serving.conftest import UNLIMITED, Running, running

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]
CLIENTS, PATIENCE_SECONDS = 24, 150


def wait_until(reached: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        if reached():
            return True
        time.sleep(0.5)
    return False


def keep_asking(service: Running, stop: threading.Event, statuses: set[int]) -> None:
    text = "a study of heart disease treatment in patients with pain " * 40
    with httpx.Client(base_url=service.url, timeout=60) as client:
        while not stop.is_set():
            reply = client.post("/v1/tag", json={"documents": [text] * 8})
            statuses.add(reply.status_code)


def test_engines_come_with_the_load_and_go_without_it(bundle: str, tmp_path: Path) -> None:
    config = deploy_config(bundle, "127.0.0.1", free_port(), threads=1, guard=UNLIMITED)
    engine = next(d for d in config["applications"][0]["deployments"] if d["name"] == "Engine")
    engine["autoscaling_config"] = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 2,
        "upscale_delay_s": 1,
        "downscale_delay_s": 5,
    }
    with running(config, tmp_path, end=signal.SIGINT) as service:
        assert len(replicas(service, "Engine")) == 1
        stop, statuses = threading.Event(), set()
        clients = [
            threading.Thread(target=keep_asking, args=(service, stop, statuses))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        grown = wait_until(lambda: len(replicas(service, "Engine")) == 2)
        time.sleep(5)
        stop.set()
        for client in clients:
            client.join()
        assert grown
        assert statuses == {200}
        assert wait_until(lambda: len(replicas(service, "Engine")) == 1)
