"""SIGKILL at the writes of a batch job, on a disk and on S3; two drivers on one output."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from lmtx_ray.batch.outputs import read_manifests, read_rejects, read_tags, sweep
from lmtx_ray.batch.plan import read_plans
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from tests.chaos.batch_runs import (
    attempts,
    finish,
    frozen,
    kill_at,
    published,
    start,
    tag_arguments,
    write_corpus,
)


def undisturbed(bundle: str, place: str, units: int, log: Path) -> list[bytes]:
    write_corpus(f"{place}/in", units)
    arguments = tag_arguments(bundle, f"{place}/in", f"{place}/whole")
    assert finish(start(arguments, log)) == 0, log.read_text()
    assert attempts(f"{place}/whole") == units
    ids = read_tags(f"{place}/whole")["doc_id"].to_pylist()
    assert ids == [f"d{n}" for n in range(4 * units)]
    assert read_rejects(f"{place}/whole").num_rows == units // 3 + (units + 2) // 4
    return published(f"{place}/whole")


def kill_everywhere(bundle: str, place: str, units: int, log: Path, stride: int) -> int:
    """Kill at every `stride`-th write, finish, compare; returns the number of kills."""
    expected = undisturbed(bundle, place, units, log)
    number = 1
    kills = 0
    while True:
        output = f"{place}/killed-{number}"
        arguments = tag_arguments(bundle, f"{place}/in", output)
        code = finish(start(arguments, log, kill_at(number)))
        if code == 0:
            return kills
        assert code == -9, log.read_text()
        kills += 1
        assert finish(start(arguments, log)) == 0, log.read_text()
        assert published(output) == expected
        assert attempts(output) <= units + 1
        number += stride


def test_a_killed_job_ends_with_the_same_bytes(bundle: str, place: str, tmp_path: Path) -> None:
    assert kill_everywhere(bundle, place, 3, tmp_path / "log", stride=9) >= 4


@pytest.mark.parametrize(
    "write", [8, *(pytest.param(number, marks=pytest.mark.slow) for number in (3, 13))]
)
def test_a_second_drop_killed_half_way_is_finished_first_and_swept_by_nobody(
    bundle: str, place: str, tmp_path: Path, write: int
) -> None:
    log, source, outputs = tmp_path / "log", f"{place}/in", {}
    for name, kill in (("whole", None), ("killed", kill_at(write))):
        for late in storage.list_files(source)[3:]:
            storage.remove_file(late)
        write_corpus(source, 3)
        arguments = tag_arguments(bundle, source, f"{place}/{name}")
        assert finish(start(arguments, log)) == 0, log.read_text()
        write_corpus(source, 6)
        arguments.append("--append-new")
        if kill:
            assert finish(start(arguments, log, kill)) == -9, log.read_text()
            there = storage.list_files(f"{place}/{name}")
            if len(read_plans(f"{place}/{name}")) == 2:
                with pytest.raises(PublishError, match="not published yet"):
                    sweep(f"{place}/{name}")
            assert storage.list_files(f"{place}/{name}") == there
        assert finish(start(arguments, log)) == 0, log.read_text()
        outputs[name] = published(f"{place}/{name}")
        assert len(read_manifests(f"{place}/{name}")) == 2
    assert outputs["killed"] == outputs["whole"]
    ids = read_tags(f"{place}/killed")["doc_id"].to_pylist()
    assert sorted(ids) == sorted(f"d{n}" for n in range(24))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_job_killed_at_every_write_ends_with_the_same_bytes(
    bundle: str, place: str, tmp_path: Path
) -> None:
    assert kill_everywhere(bundle, place, 14, tmp_path / "log", stride=1) >= 100


def test_a_job_killed_again_and_again_ends_with_the_same_bytes(
    bundle: str, place: str, tmp_path: Path
) -> None:
    log, kills = tmp_path / "log", 0
    expected = undisturbed(bundle, place, 4, log)
    arguments = tag_arguments(bundle, f"{place}/in", f"{place}/out")
    while (code := finish(start(arguments, log, kill_at(14)))) != 0:
        assert code == -9, log.read_text()
        kills += 1
    assert kills >= 2
    assert published(f"{place}/out") == expected
    assert attempts(f"{place}/out") <= 4 + kills


@pytest.mark.parametrize(
    "write", [9, *(pytest.param(number, marks=pytest.mark.slow) for number in (3, 16))]
)
def test_a_driver_that_was_overtaken_stops_with_its_own_code(
    bundle: str, place: str, tmp_path: Path, write: int
) -> None:
    """The first driver freezes at a write; a second one takes over; then the first wakes up."""
    expected = undisturbed(bundle, place, 4, tmp_path / "log")
    arguments = tag_arguments(bundle, f"{place}/in", f"{place}/out")
    first = start(arguments, tmp_path / "first", kill_at(write, signal.SIGSTOP))
    with frozen(first):
        second = finish(start(arguments, tmp_path / "second"))
    assert (finish(first), second) == (3, 0), (tmp_path / "first").read_text()
    assert "another driver" in (tmp_path / "first").read_text()
    assert published(f"{place}/out") == expected


def test_of_two_racing_drivers_one_publishes(bundle: str, place: str, tmp_path: Path) -> None:
    expected = undisturbed(bundle, place, 6, tmp_path / "log")
    arguments = tag_arguments(bundle, f"{place}/in", f"{place}/out")
    pids = [start(arguments, tmp_path / name) for name in ("one", "two")]
    codes = sorted(finish(pid) for pid in pids)
    assert codes in ([0, 3], [0, 0])  # 0 twice: one was done before the other looked
    assert published(f"{place}/out") == expected
    assert len(read_manifests(f"{place}/out")) == 1
