"""A Ray cluster of one node on this machine, with a dashboard and a token of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
RAY = str(Path(sys.executable).parent / "ray")
START_SECONDS, JOB_SECONDS = 90, 1800


@dataclass(frozen=True)
class LocalCluster:
    """A running head node: its dashboard's address, and the environment that may use it."""

    address: str
    token: str
    environment: dict[str, str]

    def ray(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`ray …` with this cluster's token; `more` overrides environment variables."""
        return subprocess.run(
            [RAY, *arguments],
            env={**self.environment, **more},
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=JOB_SECONDS,
        )

    def submit(self, name: str, *entrypoint: str, wait: bool = True) -> tuple[int, str]:
        """`ray job submit`; exit code and log."""
        done = self.ray(
            "job",
            "submit",
            "--address",
            self.address,
            "--submission-id",
            name,
            "--working-dir",
            ".",
            "--runtime-env",
            "cluster/runtime_env.yaml",
            *([] if wait else ["--no-wait"]),
            "--",
            "python",
            *entrypoint,
        )
        return done.returncode, done.stdout

    def stop(self, name: str) -> None:
        """The request that `ray job stop` sends: the command takes seconds to start, in which a
        short job goes on."""
        status, answer = self.get(f"/api/jobs/{name}/stop", self.token, {})
        check(status == 200, f"stop {name}: {answer}")

    def status(self, name: str) -> str:
        """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
        return json.loads(self.get(f"/api/jobs/{name}", self.token)[1])["status"]

    def logs(self, name: str) -> str:
        return json.loads(self.get(f"/api/jobs/{name}/logs", self.token)[1])["logs"]

    def get(self, path: str, token: str | None, body: dict | None = None) -> tuple[int, str]:
        """HTTP status and body of a request to the dashboard; POST if there is a `body`."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def local_cluster(cpus: int) -> Iterator[LocalCluster]:
    """A head node in its own process group and temporary folder, gone afterwards."""
    temporary = Path(tempfile.mkdtemp(prefix="lmtx-", dir="/tmp"))  # sockets need a short path
    token = secrets.token_hex(32)
    (temporary / "token").touch(mode=0o600)
    (temporary / "token").write_text(token)
    clean = {k: v for k, v in os.environ.items() if k not in {"RAY_ADDRESS", "RAY_AUTH_TOKEN"}}
    environment = {
        **clean,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(temporary / "token"),
        "PATH": f"{Path(sys.executable).parent}:{clean.get('PATH', '')}",
    }
    environment.pop("PYTHONPATH", None)  # the nodes get the code by working_dir or not at all
    dashboard = free_port()
    with (temporary / "head.log").open("w") as log:
        head = subprocess.Popen(
            head_command(temporary, dashboard, cpus),
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        cluster = LocalCluster(f"http://127.0.0.1:{dashboard}", token, environment)
        wait_until(lambda: is_up(cluster, head, temporary / "head.log"), START_SECONDS)
        yield cluster
    finally:
        stop_tree(head)
        shutil.rmtree(temporary, ignore_errors=True)


def head_command(temporary: Path, dashboard: int, cpus: int) -> list[str]:
    ports = {
        "port": free_port(),
        "dashboard-port": dashboard,
        "ray-client-server-port": free_port(),
        "node-manager-port": free_port(),
        "object-manager-port": free_port(),
        "dashboard-agent-listen-port": free_port(),
        "dashboard-agent-grpc-port": free_port(),
        "runtime-env-agent-port": free_port(),
        "metrics-export-port": free_port(),
    }
    return [
        RAY,
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        f"--num-cpus={cpus}",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        f"--temp-dir={temporary}",
        "--object-store-memory=200000000",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_up(cluster: LocalCluster, head: subprocess.Popen[bytes], log: Path) -> bool:
    if head.poll() is not None:
        raise RuntimeError(f"the head node ended: {log.read_text()[-2000:]}")
    try:
        return cluster.get("/api/jobs/", cluster.token)[0] == 200
    except OSError:
        return False


def wait_until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached in {seconds:.0f} s")
        time.sleep(0.1)


def stop_tree(head: subprocess.Popen[bytes]) -> None:
    """Stop the head node and every process below it, whatever group it moved to."""
    try:
        below = psutil.Process(head.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(timeout=15)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    _, alive = psutil.wait_procs(below, timeout=5)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def check(right: bool, otherwise: str) -> None:
    if not right:
        raise AssertionError(otherwise)
