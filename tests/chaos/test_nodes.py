"""Machines and processes lost while a run works: the published tables are those of a quiet run."""

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
import pytest

from tests.chaos import batch_runs
from tests.small_run import write_inputs

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
FILLER = """
import sys, time, numpy, ray
ray.init(logging_level="ERROR")
kept = [ray.put(numpy.zeros(4_000_000, dtype=numpy.uint8)) for _ in range(15)]
print("full", flush=True)
time.sleep(600)
"""
pytestmark = [pytest.mark.ray, pytest.mark.timeout(2 * TIMEOUT_SECONDS)]


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


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


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


@pytest.mark.slow
def test_a_node_lost_while_judging_changes_no_verdict(
    nodes: Nodes, config: Path, tmp_path: Path
) -> None:
    options = ["--set", MANY_UNITS, *ACTORS, "--until", "judge"]
    with driver(nodes, *lmtx_run(config, tmp_path / "quiet", *options)) as process:
        ended(process)
    run = tmp_path / "lost"
    summary = disturbed(
        nodes,
        lmtx_run(config, run, *options),
        run,
        "verdicts-1-*/done/*.json",
        "verdicts-1-*",
        nodes.lose_one_and_get_another,
    )
    assert summary["reached"]
    assert published(run) == published(tmp_path / "quiet")


@pytest.fixture(scope="module")
def quiet(nodes: Nodes, config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole undisturbed run, and its bundle."""
    run = tmp_path_factory.mktemp("runs") / "quiet"
    with driver(nodes, *lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *TRAIN)) as process:
        return run, ended(process)["bundle"]


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
def test_a_judge_killed_changes_no_verdict(nodes: Nodes, config: Path, tmp_path: Path) -> None:
    options = ["--set", MANY_UNITS, *ACTORS, "--until", "judge"]
    with driver(nodes, *lmtx_run(config, tmp_path / "quiet", *options)) as process:
        ended(process)
    run = tmp_path / "killed"
    disturbed(
        nodes,
        lmtx_run(config, run, *options),
        run,
        "verdicts-1-*/done/*.json",
        "verdicts-1-*",
        lambda: nodes.kill_a_worker_process("UnitActor"),
    )
    assert published(run) == published(tmp_path / "quiet")


@pytest.mark.slow
def test_a_node_lost_while_tagging_changes_no_tag(
    nodes: Nodes, bundle: str, tmp_path: Path
) -> None:
    lines = (json.dumps({"id": f"d{n}", "text": f"a study of heart pain {n}"}) for n in range(8000))
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines) + "\n")

    def tag(output: Path, *more: str) -> list[str]:
        return [
            "-m",
            "lmtx_ray.cli",
            "tag",
            "--bundle",
            bundle,
            "--input",
            str(source),
            "--unit-bytes",
            "20000",
            "--output",
            str(output),
            *more,
        ]

    with driver(nodes, *tag(tmp_path / "quiet", "--local")) as process:
        ended(process)
    output = tmp_path / "lost"
    disturbed(nodes, tag(output), output, "done/*.json", ".", nodes.lose_one_and_get_another)
    tagged = batch_runs.published(str(output))
    assert tagged == batch_runs.published(str(tmp_path / "quiet"))
    assert len(tagged) > 8


@pytest.mark.slow
def test_a_full_object_store_changes_nothing(
    nodes: Nodes, config: Path, quiet: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "pressed"
    with driver(nodes, "-c", FILLER) as filler:
        assert filler.stdout.readline() == "full\n"
        command = lmtx_run(config, run, "--set", FEW_UNITS, *ACTORS, *TRAIN)
        with driver(nodes, *command) as process:
            ended(process)
    assert published(run) == published(quiet[0])


@pytest.fixture
def other_disk(nodes: Nodes, tmp_path: Path) -> Iterator[Path]:
    """A folder, and a node more that has another one at its place, as another machine would."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a mount namespace")
    start = (
        f"exec {Path(sys.executable).parent}/ray start --block --num-cpus=1 "
        f"--object-store-memory=80000000 --address={nodes.cluster.address}"
    )
    command = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {tmp_path} && {start}"]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while sum(one["Alive"] for one in nodes.cluster.global_state.node_table()) < 4:
            assert node.poll() is None, "the node did not start"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield tmp_path
    finally:
        node.terminate()
        node.wait(60)


@pytest.mark.slow
def test_an_output_on_the_disk_of_one_machine_is_refused(
    nodes: Nodes, bundle: str, other_disk: Path
) -> None:
    source = other_disk / "in.jsonl"
    source.write_text(json.dumps({"id": "d1", "text": "a study of heart pain"}) + "\n")
    output = other_disk / "out"
    with driver(
        nodes,
        "-m",
        "lmtx_ray.cli",
        "tag",
        "--bundle",
        bundle,
        "--input",
        str(source),
        "--output",
        str(output),
    ) as process:
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 1
    assert "out: not seen on" in err.splitlines()[-1]
    assert not (output / "MANIFEST.json").exists()
