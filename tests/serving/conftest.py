"""A real service for the tests of this folder, in a process and on a Ray instance of its own."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_apps.ports import USUAL, free_port
from serve_apps.services import STATE_VARIABLE
from tests.serving.browsing import browser, locked_url, page, url  # noqa: F401 (fixtures)
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240
OF_A_CLUSTER = {"RAY_AUTH_MODE", "RAY_ADDRESS"}
UNLIMITED = {"requests_per_minute": 0, "documents_per_minute": 0}


@dataclass(frozen=True)
class Running:
    """Where a service answers, and the Ray address it runs on."""

    url: str
    ray: str
    pid: int
    folder: Path  # of its own

    @property
    def state(self) -> Path:
        """Where it tells `lmtx promote` of itself."""
        return self.folder / "state"

    @property
    def feedback(self) -> Path:
        """Where it keeps what people say, if it was told to."""
        return self.folder / "feedback"


@contextlib.contextmanager
def running(
    config: dict[str, Any], folder: Path, end: signal.Signals = signal.SIGTERM
) -> Iterator[Running]:
    """Start a service from a Serve config; at the end tell it to stop, which it does cleanly."""
    file = folder / "serve.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "tests.serving.start", str(file)]
    told = {"PYTHONPATH": str(ROOT), STATE_VARIABLE: str(folder / "state")}
    environment = {**os.environ, **told}
    for name in ("RAY_ADDRESS", *USUAL):  # what a test before this one may have left
        environment.pop(name, None)
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        line = _ready(process, folder / "serve.log")
        url = line.split("serving at ")[1].split("/ ")[0]
        yield Running(url, line.split("--address ")[1].rstrip(")\n"), process.pid, folder)
    finally:
        process.send_signal(end)
        try:
            assert process.wait(60) == 0, (folder / "serve.log").read_text()[-2000:]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _ready(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("serving at "):
            return line
    raise AssertionError(f"the service did not start: {log.read_text()[-2000:]}")


def lmtx(*arguments: str, state: Path | str = "/nowhere") -> subprocess.CompletedProcess[str]:
    """As in another terminal: without what Ray set in this process when it started a cluster."""
    command = [sys.executable, "-m", "lmtx_ray.cli", *arguments]
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_CLUSTER}
    environment[STATE_VARIABLE] = str(state)
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, env=environment
    )


@contextlib.contextmanager
def usual_ports_taken() -> Iterator[None]:
    """Somebody else, this or another program, listens on the proxy's usual ports."""
    with contextlib.ExitStack() as stack:
        for port in USUAL.values():
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("", port)))
        yield


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def bundle(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return publish_bundle(tmp_path_factory.mktemp("bundles") / "one", encoder, "bundle-one")


@pytest.fixture(scope="session")
def other_bundle(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Other probabilities, and three index shards instead of two."""
    folder = tmp_path_factory.mktemp("bundles") / "two"
    return publish_bundle(folder, encoder, "bundle-two", shards=3, slope=2.0)


@pytest.fixture(scope="session")
def service(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two Shard deployments, one engine, one ingress, limits as they come, beside whatever else
    runs here."""
    from serve_apps.running import deploy_config

    folder = tmp_path_factory.mktemp("service")
    args = {"threads": 1, "shards": 2, "feedback_dir": str(folder / "feedback")}
    config = deploy_config(bundle, "127.0.0.1", free_port(), **args)
    with usual_ports_taken(), running(config, folder) as started:
        yield started


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="session")
def documents() -> list[dict[str, str]]:
    """500 real abstracts of the sample."""
    with gzip.open(ROOT / "examples/biomedical/documents.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(500), strict=False)]
    return [{"id": row["uid"], "title": row["title"], "text": row["content"]} for row in rows]
