"""Jobs without a cluster: options, configs, what a run folder tells, and errors."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from lmtx_ray.cli import jobs
from lmtx_ray.cli import main as cli
from lmtx_ray.config.loading import load_config
from lmtx_ray.io import storage
from lmtx_ray.io.locations import StorageError
from lmtx_ray.loop.demo import demo_settings, sample_folder
from lmtx_ray.loop.record import describe_start, write_record
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.stopping import stop_name

ROOT = Path(__file__).resolve().parent.parent.parent
JOBS = sorted((ROOT / "jobs").glob("*.py"))
CONFIGS = sorted((ROOT / "jobs" / "configs").glob("*.yaml"))
LOOP_JOBS = {"prepare", "embed", "shortlist", "judge", "train", "run", "bundle"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rows = "".join(
        json.dumps({"uid": f"d{n}", "title": "T", "content": f"x {n}"}) + "\n" for n in range(30)
    )
    (tmp_path / "documents.jsonl").write_text(rows)
    (tmp_path / "labels.jsonl").write_text(rows)
    values = {
        "run": str(tmp_path / "run"),
        "encoder": {"model": "some/encoder"},
        "corpus": {
            "documents": [str(tmp_path / "documents.jsonl")],
            "held_aside": 10,
            "labels": str(tmp_path / "labels.jsonl"),
        },
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
        "cycles": {"most": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "config.yaml"


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_there_is_a_job_for_each_step_and_each_is_short() -> None:
    assert {path.stem for path in JOBS} == LOOP_JOBS | {"judge_check", "tag", "evaluate"}
    assert all(len(path.read_text().splitlines()) <= 40 for path in JOBS)


@pytest.mark.parametrize("step", sorted(LOOP_JOBS))
def test_a_dry_run_of_a_job_is_the_plan_of_the_command_line(capsys, config, step: str) -> None:
    options = ["--set", "cycles.most=1", "--dry-run"]
    code = jobs.run_job(None if step == "run" else step, ["--config", str(config), *options])
    assert code == 0
    of_job = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert cli.main(["run", str(config), *options]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == of_job


def test_a_job_is_a_script_with_an_exit_code_and_one_line_of_json(config: Path) -> None:
    done = run(ROOT / "jobs" / "judge.py", "--config", str(config), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"] == {"train": 20, "held_aside": 10}
    failed = run(ROOT / "jobs" / "judge.py", "--config", str(config), "--set", "judge.topk=3")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "judge.topk: unknown key; did you mean top_k" in failed.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["tag", "evaluate"])
def test_the_other_jobs_have_the_options_of_their_verb(name: str) -> None:
    done = run(ROOT / "jobs" / f"{name}.py", "--help")
    verb = subprocess.run(
        [sys.executable, "-m", "lmtx_ray.cli", name, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0
    assert done.stdout == verb.stdout


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_of_the_jobs_loads(path: Path) -> None:
    config = load_config(RunConfig, str(path))
    assert config.resources.judge.gpus == (0 if path.stem == "demo" else 1)


def test_the_demo_of_the_jobs_is_the_demo_of_the_command_line(monkeypatch) -> None:
    path = ROOT / "jobs" / "configs" / "demo.yaml"
    assert path.resolve() == sample_folder() / "demo.yaml"
    monkeypatch.chdir(ROOT)
    assert load_config(RunConfig, demo_settings()) == load_config(RunConfig, str(path))


def test_the_demo_finds_its_sample_from_any_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(RunConfig, demo_settings())
    corpus = config.corpus
    for path in (*corpus.documents, corpus.labels, corpus.test, config.judge.teacher.model):
        assert Path(path).is_absolute()
        assert Path(path).exists()
    assert config.run == str(tmp_path / "runs" / "demo")
    with (ROOT / "pyproject.toml").open("rb") as file:  # a wheel has all of it
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    shipped = {ROOT / source for source in wheel["force-include"]}
    needed = (*corpus.documents, corpus.labels, corpus.test, config.judge.teacher.model)
    assert {*map(Path, needed), sample_folder() / "demo.yaml"} <= shipped
    assert all(target.startswith("lmtx_ray/sample/") for target in wheel["force-include"].values())


def test_the_record_of_a_start_is_written_once_and_tells_config_and_code(config: Path) -> None:
    settings = load_config(RunConfig, str(config))
    first, second = write_record(settings), write_record(settings)
    assert first == second
    record = storage.read_json(first)
    assert record["config"]["cycles"]["most"] == 2
    assert record["packages"]["ray"] == "2.60.0"
    assert len(record["source_sha256"]) == 64
    other = load_config(RunConfig, str(config), ["cycles.most=1"])
    assert write_record(other) != first
    assert {**describe_start(settings), "began": record["began"]} == record


@pytest.mark.parametrize(
    ("step", "cycle", "expected"),
    [
        ("prepare", None, "prepare"),
        ("embed", None, "embed 0"),
        ("judge", None, "judge 1"),
        ("train", 2, "train 2"),
        ("shortlist", 2, "shortlist 2"),
    ],
)
def test_a_stop_is_a_step_of_a_cycle(step: str, cycle: int | None, expected: str) -> None:
    assert stop_name(step, cycle, most=2) == expected


@pytest.mark.parametrize(("step", "cycle"), [("judge", 3), ("judge", 0), ("bundle", 1)])
def test_a_stop_outside_the_loop_is_refused(step: str, cycle: int) -> None:
    with pytest.raises(ValueError, match="--cycle"):
        stop_name(step, cycle, most=2)


def test_a_run_inside_the_copy_of_the_working_folder_is_refused(config, caplog) -> None:
    inside = "/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_1/runs/x"
    code = jobs.run_job("prepare", ["--config", str(config), "--set", f"run={inside}"])
    assert code == 1
    assert "give an absolute path on storage all nodes share" in caplog.text


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("map_function", [False, True])
def test_an_error_of_a_worker_ends_in_one_line(config, monkeypatch, caplog, map_function) -> None:
    import ray

    def read(batch: object = None) -> object:
        try:
            raise OSError("in the way: not to be shown")
        except OSError as error:
            raise StorageError("s3://b/k: no such key") from error

    def fail(arguments: object) -> None:
        if map_function:
            ray.data.range(2).map_batches(read).materialize()
        ray.get(ray.remote(read).remote())

    monkeypatch.setattr(cli, "run_loop", fail)
    assert jobs.run_job("judge", ["--config", str(config)]) == 1
    assert caplog.records[-1].getMessage().endswith(": s3://b/k: no such key")
