"""Publishing on an S3 server: the same promises as on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from lmtx_ray.io import storage
from lmtx_ray.io.publish import PublishError, StepOutput

BUCKET = "s3://lake"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="lake")


def rows(*values: int) -> pa.Table:
    return pa.table({"id": list(values)})


def test_files_are_written_listed_read_and_removed() -> None:
    storage.write_bytes(f"{BUCKET}/a/one.txt", b"1")
    storage.write_bytes(f"{BUCKET}/a/two.json", b"{}")
    storage.write_bytes(f"{BUCKET}/ab/other.txt", b"not in the folder a")
    assert storage.list_files(f"{BUCKET}/a") == [f"{BUCKET}/a/one.txt", f"{BUCKET}/a/two.json"]
    assert storage.list_files(f"{BUCKET}/a", ".json") == [f"{BUCKET}/a/two.json"]
    assert storage.exists(f"{BUCKET}/a")
    assert storage.exists(f"{BUCKET}/a/one.txt")
    assert not storage.exists(f"{BUCKET}/a/one")
    storage.remove_folder(f"{BUCKET}/a")
    assert storage.list_files(f"{BUCKET}/a") == []
    assert storage.read_bytes(f"{BUCKET}/ab/other.txt") == b"not in the folder a"


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(storage.StorageError, match="s3://lake/absent"):
        storage.read_bytes(f"{BUCKET}/absent")
    with pytest.raises(storage.StorageError, match="s3://no-such-bucket/x"):
        storage.read_bytes("s3://no-such-bucket/x")


def test_the_first_receipt_wins_and_the_manifest_comes_last() -> None:
    step = StepOutput(f"{BUCKET}/run/step-1", "f1")
    first = step.commit_unit("00000", rows(1, 2), rows_in=2)
    again = step.commit_unit("00000", rows(3, 4), rows_in=2)
    assert again == first
    assert not step.is_complete()
    with pytest.raises(PublishError, match="units not done: 00001"):
        step.publish(["00000", "00001"])
    step.commit_unit("00001", rows(5), rows_in=1)
    step.publish(["00000", "00001"], key="id")
    step.publish(["00000", "00001"], key="id")  # a second driver finds the same
    assert step.read()["id"].to_pylist() == [1, 2, 5]
    step.verify()
    with pytest.raises(PublishError, match="other inputs or settings"):
        StepOutput(step.uri, "f2").is_complete()


def test_a_folder_goes_up_and_comes_back(tmp_path: Path) -> None:
    step = StepOutput(f"{BUCKET}/run/model", "m")

    def save(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner/weights").write_bytes(b"w" * 100)

    step.publish_folder(save)
    local = tmp_path / "local"
    storage.download_folder(step.uri, local)
    assert (local / "inner/weights").read_bytes() == b"w" * 100
    storage.write_bytes(f"{step.uri}/inner/weights", b"changed")
    with pytest.raises(PublishError, match="inner/weights is not the file"):
        step.verify()
