"""Faults between the job and S3, full and read-only disks: retried, or a clear error; data is never
blamed, and nothing is half-published."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmtx_ray.batch.outputs import read_manifests, read_rejects, read_tags
from lmtx_ray.cli.main import main
from lmtx_ray.io import s3, storage
from tests.chaos.batch_runs import published, tag_arguments, write_corpus
from tests.chaos.faulty_proxy import faulty


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMTX_S3_TIMEOUT", "1")
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )


@pytest.mark.parametrize(
    "fault",
    ["503", "truncate", *(pytest.param(one, marks=pytest.mark.slow) for one in ("500", "hang"))],
)
def test_passing_faults_are_retried(bundle, server, monkeypatch, tmp_path, fault: str) -> None:
    """The first request for every third object or so fails."""
    place = f"s3://lake/passing-{fault}"
    write_corpus(f"{place}/in", 2)
    assert main(tag_arguments(bundle, f"{place}/in", f"{place}/whole")) == 0
    seen: Counter[tuple[str, str]] = Counter()
    faults = []

    def decide(method: str, path: str) -> str:
        seen[method, path] += 1
        reads = method == "GET" and "list-type" not in path
        chosen = reads if fault in {"truncate", "hang"} else True
        if seen[method, path] == 1 and chosen and len(seen) % (8 if fault == "hang" else 2) == 1:
            faults.append(path)
            return fault
        return ""

    with faulty(server, decide) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert faults
    assert published(f"{place}/out") == published(f"{place}/whole")


@pytest.mark.parametrize(
    "fault", ["403", *(pytest.param(one, marks=pytest.mark.slow) for one in ("500", "truncate"))]
)
def test_a_lasting_fault_fails_with_the_object_named(
    bundle, server, monkeypatch, caplog, fault: str
) -> None:
    place = f"s3://lake/lasting-{fault}"
    write_corpus(f"{place}/in", 3)

    def decide(method: str, path: str) -> str:
        return fault if method == "GET" and path.split("?")[0].endswith("001.jsonl") else ""

    with faulty(server, decide) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 1
    assert f"{place}/in/001.jsonl" in caplog.text
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert read_manifests(f"{place}/out") == []
    assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 0
    assert read_tags(f"{place}/out").num_rows == 12
    reasons = read_rejects(f"{place}/out")["reason"].to_pylist()
    assert not [reason for reason in reasons if "damaged" in reason or "made up" in reason]


@pytest.mark.parametrize("fault", ["403", pytest.param("503", marks=pytest.mark.slow)])
def test_an_output_that_refuses_writes_is_named_and_nothing_published(
    bundle, server, monkeypatch, caplog, fault: str
) -> None:
    place = f"s3://lake/refused-{fault}"
    write_corpus(f"{place}/in", 2)

    def decide(method: str, path: str) -> str:
        return fault if method == "PUT" and "/out/data/" in path else ""

    with faulty(server, decide) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 1
    assert f"{place}/out/data/" in caplog.text
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert read_manifests(f"{place}/out") == []


def test_a_lost_answer_to_a_conditional_write_is_not_taken_for_a_rival(server, monkeypatch) -> None:
    seen: Counter[str] = Counter()

    def decide(method: str, path: str) -> str:
        if method != "PUT" or "lost" not in path:
            return ""
        seen[path] += 1
        if seen[path] == 1:  # it arrives, and the answer does not
            monkeypatch.setenv("AWS_ENDPOINT_URL", server)
            storage.write_bytes("s3://lake/lost", b"mine")
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            return "500"
        return ""

    with faulty(server, decide) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert storage.put_if_absent("s3://lake/lost", b"mine")
        assert not storage.put_if_absent("s3://lake/lost", b"other")


def test_a_changed_object_is_not_tagged_half_old_half_new(server) -> None:
    storage.write_bytes("s3://lake/versions", b"old")
    etag = storage.stat("s3://lake/versions").etag
    storage.write_bytes("s3://lake/versions", b"new!")
    with pytest.raises(storage.StorageError, match="versions: it was changed"):
        storage.open_input("s3://lake/versions", etag)


def test_a_store_without_conditional_writes_falls_back_to_a_lease(
    bundle, server, monkeypatch, caplog
) -> None:
    def ignores_conditions(self: s3.Bucket, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True

    plain = s3.Bucket.call

    def call(self: s3.Bucket, operation: str, key: str, **arguments: object) -> object:
        arguments.pop("IfNoneMatch", None)
        return plain(self, operation, key, **arguments)

    monkeypatch.setattr(s3.Bucket, "call", call)
    monkeypatch.setattr(s3.Bucket, "put_if_absent", ignores_conditions)
    monkeypatch.setattr("lmtx_ray.io.lease.SETTLE_SECONDS", 0.1)
    place = "s3://lake/unconditional"
    write_corpus(f"{place}/in", 2)
    held = {"holder": "someone", "process": 7, "host": "other", "expires": 9e9}
    storage.write_bytes(f"{place}/out/LEASE.json", storage.to_json(held))
    assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 3
    assert f"{place}/out: process 7 on other is at work here" in caplog.text
    storage.write_bytes(f"{place}/out/LEASE.json", storage.to_json({**held, "expires": 0}))
    assert main(tag_arguments(bundle, f"{place}/in", f"{place}/out")) == 0
    assert read_tags(f"{place}/out").num_rows == 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 192 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_published(
    bundle, small_disk: Path, tmp_path: Path, caplog
) -> None:
    write_corpus(str(tmp_path / "in"), 8)
    (small_disk / "ballast").write_bytes(b"x" * 100_000)
    arguments = tag_arguments(bundle, str(tmp_path / "in"), str(small_disk / "out"))
    assert main(arguments) == 1
    assert "No space left on device" in caplog.text
    assert read_manifests(str(small_disk / "out")) == []
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert main(arguments) == 0
    assert read_tags(str(small_disk / "out")).num_rows == 32


def test_a_full_output_found_at_any_write_leaves_nothing_published(
    bundle, tmp_path: Path, monkeypatch, caplog
) -> None:
    """Where no disk can be mounted: the system call that makes a file appear fails."""
    write_corpus(str(tmp_path / "in"), 3)
    plain = os.replace

    def full(source: object, target: object) -> None:
        if "/out/data/" in str(target) and "00002" in str(target):
            raise OSError(28, "No space left on device", str(target))
        plain(source, target)

    arguments = tag_arguments(bundle, str(tmp_path / "in"), str(tmp_path / "out"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(arguments) == 1
    assert "No space left on device" in caplog.text
    assert f"{tmp_path}/out/data/" in caplog.text
    assert read_manifests(str(tmp_path / "out")) == []
    assert not list((tmp_path / "out").rglob(".draft-*"))
    assert main(arguments) == 0
    assert read_tags(str(tmp_path / "out")).num_rows == 12


def test_a_read_only_output_is_named(bundle, tmp_path: Path, caplog) -> None:
    write_corpus(str(tmp_path / "in"), 1)
    assert main(tag_arguments(bundle, str(tmp_path / "in"), "/proc/tags")) == 1
    assert "/proc/tags" in caplog.text
