"""Machines and processes lost while a run works: the published tables are those of a quiet run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import batch_runs
from tests.chaos.nodes import (
    ACTORS,
    FEW_UNITS,
    MANY_UNITS,
    TIMEOUT_SECONDS,
    TRAIN,
    Nodes,
    disturbed,
    driver,
    ended,
    lmtx_run,
    published,
)

FILLER = """
import sys, time, numpy, ray
ray.init(logging_level="ERROR")
kept = [ray.put(numpy.zeros(4_000_000, dtype=numpy.uint8)) for _ in range(15)]
print("full", flush=True)
time.sleep(600)
"""
pytestmark = [pytest.mark.ray, pytest.mark.timeout(2 * TIMEOUT_SECONDS)]


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
