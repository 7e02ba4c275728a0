"""The service loses replicas and changes bundles under constant load, and no answer is wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from serve_apps.ports import free_port
from serve_apps.running import deploy_config
from tests.serving.conftest import ROOT, UNLIMITED, Running, running
from tests.serving.test_service import expected_tags
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]
SECONDS, EVERY, RATE = 120, 10, 10
DOCUMENTS = [
    {"id": f"d{n}", "title": None, "text": text}
    for n, text in enumerate(("heart pain in patients", "a study of the lung", "ear disease trial"))
]
LEAST_SUCCESS = 0.999


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def two(models: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two bundles by id, of other probabilities and another number of shards."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "one": publish_bundle(folder / "one", models, "one", shards=2),
        "two": publish_bundle(folder / "two", models, "two", shards=3, slope=2.0),
    }


@pytest.fixture(scope="module")
def service(two: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two engines and two replicas of each of two shards."""
    config = deploy_config(
        two["one"], "127.0.0.1", free_port(), threads=1, shards=2, shard_replicas=2, guard=UNLIMITED
    )
    engine = next(d for d in config["applications"][0]["deployments"] if d["name"] == "Engine")
    engine["autoscaling_config"]["min_replicas"] = 2
    engine["autoscaling_config"]["max_replicas"] = 2
    with running(config, tmp_path_factory.mktemp("service")) as started:
        yield started


def replicas(service: Running, deployment: str) -> list[psutil.Process]:
    """Processes of a deployment's replicas."""
    found = []
    for process in psutil.Process(service.pid).children(recursive=True):
        try:
            if f":{deployment}" in process.cmdline()[0]:
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


async def ask(client: httpx.AsyncClient, counts: Counter[str], expected: dict) -> None:
    """One request, with one retry; every answer is held against the bundle it names."""
    for attempt in range(2):
        try:
            reply = await client.post("/v1/tag", json={"documents": DOCUMENTS, "top_k": 5})
        except httpx.TransportError:
            counts["lost"] += 1
            continue
        if reply.status_code != 200:
            counts[f"status {reply.status_code}"] += 1
            await asyncio.sleep(1.0)  # Retry-After
            continue
        body = reply.json()
        counts[f"bundle {body['bundle_id']}"] += 1
        given = {
            result["id"]: [
                {name: tag[name] for name in ("key", "label", "score", "probability")}
                for tag in result["tags"]
            ]
            for result in body["results"]
        }
        counts["right" if given == expected[body["bundle_id"]] else "wrong"] += 1
        counts["retried"] += attempt
        return
    counts["failed"] += 1


async def load(url: str, seconds: float, expected: dict) -> Counter[str]:
    """RATE requests a second for so long."""
    counts: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        started, tasks = time.monotonic(), []
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(started + number / RATE - time.monotonic(), 0))
            tasks.append(asyncio.create_task(ask(client, counts, expected)))
        await asyncio.gather(*tasks)
    return counts


def promoting(service: Running, bundle: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "lmtx_ray.cli",
        "promote",
        "--bundle",
        bundle,
        "--address",
        service.ray,
    ]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_AUTH_MODE"}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)


def test_killed_replicas_and_promotions_cost_no_right_answer(
    service: Running, two: dict[str, str], tmp_path: Path
) -> None:
    expected = {name: expected_tags(uri, DOCUMENTS, 5) for name, uri in two.items()}
    kills: list[str] = []
    changes: list[subprocess.Popen[str]] = []

    async def disturb() -> None:
        deployments = ["Engine", "Shard0", "Engine", "Shard1"]
        targets = iter([two["two"], two["one"], two["two"]])
        for number in range(SECONDS // EVERY - 1):
            await asyncio.sleep(EVERY)
            name = deployments[number % len(deployments)]
            if victims := replicas(service, name):
                victims[0].kill()
                kills.append(name)
            over = not changes or changes[-1].poll() is not None  # one overtakes another
            if number % 3 == 0 and over and (target := next(targets, None)):
                changes.append(promoting(service, target))

    async def everything() -> Counter[str]:
        counts, _ = await asyncio.gather(load(service.url, SECONDS, expected), disturb())
        return counts

    counts = asyncio.run(everything())
    results = [(change.wait(300), change.stderr.read()[-300:]) for change in changes]
    print(f"\n{dict(counts)}, kills {Counter(kills)}, promotions {results}")
    assert len(kills) >= SECONDS // EVERY - 2
    assert counts["wrong"] == 0
    assert counts["right"] >= LEAST_SUCCESS * SECONDS * RATE
    assert [code for code, _ in results] == [0] * len(results)
    assert len(results) >= 2
    assert {"bundle one", "bundle two"} <= set(counts)


def test_a_shard_without_a_replica_fails_closed(service: Running) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:

        def ask() -> httpx.Response:
            return client.post("/v1/tag", json={"documents": ["heart"]})

        whole = ask().json()["results"]
        for victim in replicas(service, "Shard0"):
            victim.kill()
        for _ in range(200):
            reply = ask()  # refused while there is none, or kept waiting until there is one
            assert reply.status_code in (200, 503)
            if reply.status_code == 200:
                assert reply.json()["results"] == whole
                if replicas(service, "Shard0"):
                    break
            time.sleep(0.2)
    assert reply.status_code == 200
