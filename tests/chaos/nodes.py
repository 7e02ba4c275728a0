"""A cluster of several nodes on this machine whose nodes and processes can be lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

TIMEOUT_SECONDS = 600
FEW_UNITS, MANY_UNITS = "unit_documents=16", "unit_documents=4"
ACTORS = [
    "--set",
    "resources.judge.actors=2",
    "--set",
    "resources.judge.cpus=0.5",
    "--set",
    "resources.embed.cpus=0.5",
    "--set",
    "resources.shortlist.cpus=0.5",
]
TRAIN = ["--set", "fit.workers=2", "--set", "fit.passes=40", "--set", "resources.fit.cpus=0.5"]


class Nodes:
    """A head without CPUs and two workers, all with the smallest object store Ray takes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.workers = [self.add() for _ in range(2)]
        self.cluster.wait_for_nodes()

    def add(self) -> object:
        return self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def lose_one_and_get_another(self) -> None:
        """As when a spot machine is taken: its processes end without notice."""
        self.cluster.remove_node(self.workers.pop(), allow_graceful=False)
        self.workers.append(self.add())

    def kill_a_worker_process(self, kind: str) -> None:
        """kill -9 of one process of this cluster whose title has `kind` in it."""
        nodes = [self.cluster.head_node, *self.workers]
        pids = {info.process.pid for node in nodes for info in node.all_processes.get("raylet", [])}
        below = [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]
        found = [child for child in below if kind in " ".join(child.cmdline())]
        assert found, f"no process like {kind}: {[' '.join(child.cmdline()) for child in below]}"
        found[0].kill()


@contextmanager
def driver(nodes: Nodes, *command: str) -> Iterator[subprocess.Popen[str]]:
    """`python …` joined to the cluster; killed at the end if it still runs."""
    environment = {**os.environ, "RAY_ADDRESS": nodes.cluster.address}
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lmtx_run(config: Path, run: Path, *more: str) -> list[str]:
    return ["-m", "lmtx_ray.cli", "run", str(config), "--set", f"run={run}", *more]


def ended(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def wait_for(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not reached():
        assert process.poll() is None, f"it ended too early: {process.communicate()[1][-2000:]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def published(folder: Path) -> dict[str, str]:
    """Step folder and unit -> SHA-256 of what was published, without the summary and its times."""
    found = {}
    for path in folder.glob("*/MANIFEST.json"):
        manifest = json.loads(path.read_text())
        units = {name: file["sha256"] for name, file in manifest.get("files", {}).items()}
        units |= {u["unit"]: u["sha256"] for u in manifest.get("units", ())}
        if not path.parent.name.startswith("evaluation-"):
            found |= {f"{path.parent.name}/{unit}": value for unit, value in units.items()}
    return found


def disturbed(
    nodes: Nodes,
    command: list[str],
    run: Path,
    reached: str,
    step: str,
    disturb: Callable[[], None],
) -> dict:
    """Run a command and disturb it when `reached` is there and `step` is not yet published."""
    with driver(nodes, *command) as process:
        wait_for(process, lambda: any(run.glob(reached)))
        disturb()
        assert not list(run.glob(f"{step}/MANIFEST.json")), "it was done before it was disturbed"
        return ended(process)
