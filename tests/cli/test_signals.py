"""Ctrl-C and SIGTERM, sent to real processes: one sentence, the shells' exit code, nothing left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.io import lease, storage
from serve_apps.ports import free_port
from tests.batch.tagging import document, lines
from tests.cli.processes import PATIENCE_SECONDS, lmtx, of_session, until
from tests.small_run import write_inputs
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

ROWS = 3000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle")
    return publish_bundle(folder / "bundle", save_encoder(folder / "model"))


def stop(process: subprocess.Popen[str], number: int) -> str:
    """What is on standard error of a process that was stopped."""
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + number, error
    assert "Traceback" not in error
    (sentence,) = [line for line in error.splitlines() if line.startswith("stopped: ")]
    assert sentence.endswith(f"lmtx {subprocess.list2cmdline(process.args[3:])}")
    return error


def write_documents(path: Path) -> None:
    path.write_bytes(lines(*(document(n) for n in range(ROWS))))


def test_tagging_here_stops_and_goes_on(bundle, tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl")
    out = str(tmp_path / "out")
    options = ["--bundle", bundle, "--input", str(tmp_path / "in.jsonl"), "--output", out]
    options += ["--unit-bytes", "20000"]
    process = lmtx(tmp_path, "tag", *options)
    until(lambda: bool(storage.list_files(f"{out}/done")), process)
    stop(process, signal.SIGINT)
    again = lmtx(tmp_path, "tag", *options)
    output, error = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, error
    assert "units were done before" in error
    assert "faiss" not in error.lower()
    assert output.count("\n") == 1  # JSON, as nobody looks on
    assert read_tags(out).num_rows == ROWS


@pytest.mark.slow
def test_a_second_signal_kills_at_once(bundle, tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl")
    out = str(tmp_path / "out")
    process = lmtx(
        tmp_path, "tag", "--bundle", bundle, "--input", str(tmp_path / "in.jsonl"), "--output", out
    )
    until(lambda: storage.exists(f"{out}/PLAN.json"), process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.ray
def test_tagging_on_ray_leaves_no_process_behind(bundle, tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl")
    out = str(tmp_path / "out")
    options = ["--bundle", bundle, "--input", str(tmp_path / "in.jsonl"), "--output", out]
    process = lmtx(tmp_path, "tag", *options, "--actors", "1", "--unit-bytes", "50000")
    until(lambda: bool(storage.list_files(f"{out}/done")), process)
    assert any("raylet" in line for line in of_session(process.pid))
    stop(process, signal.SIGTERM)
    until_gone(process)


def until_gone(process: subprocess.Popen[str]) -> None:
    """Ray's workers end when they see that their raylet is gone."""
    left = subprocess.Popen(["sleep", str(PATIENCE_SECONDS)], text=True)
    try:
        until(lambda: not of_session(process.pid), left)
    finally:
        left.kill()
        left.wait()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stops_gives_its_lease_back_and_goes_on(tmp_path: Path, number: int) -> None:
    config, run = write_inputs(tmp_path), tmp_path / "run"
    arguments = ["run", str(config), "--set", f"run={run}", "--until", "select"]
    process = lmtx(tmp_path, *arguments)
    until(lambda: bool(list(run.glob("vectors-0-*/done/*"))), process)
    stop(process, number)
    assert lease.is_over(lease.read_lease(f"{run}/LEASE.json"))
    until_gone(process)
    again = lmtx(tmp_path, *arguments)
    _, error = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, error


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("when", ["starting", "serving"])
def test_a_service_stops(bundle, tmp_path: Path, when: str) -> None:
    process = lmtx(tmp_path, "serve", "--bundle", bundle, "--port", str(free_port()))
    if when == "starting":
        until(lambda: any("raylet" in line for line in of_session(process.pid)), process)
    else:
        assert process.stdout is not None
        assert "serving at" in process.stdout.readline()
    stop(process, signal.SIGTERM)
    until_gone(process)


@pytest.mark.slow
@pytest.mark.ray
def test_a_judge_check_stops(tmp_path: Path) -> None:
    config, run = write_inputs(tmp_path), tmp_path / "run"
    process = lmtx(tmp_path, "judge-check", str(config), "--set", f"run={run}")
    until(lambda: any("raylet" in line for line in of_session(process.pid)), process)
    stop(process, signal.SIGINT)
    until_gone(process)
