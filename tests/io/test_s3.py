"""Publishing on an S3 server: the same promises as on a disk."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from lmtx_ray.io import lease, s3, storage
from lmtx_ray.io.fence import StaleDriver, by_lease
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from tests.corpus.test_files import read
from tests.published import is_whole

BUCKET = "s3://lake"


pytestmark = pytest.mark.usefixtures("server")


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


def test_two_who_ask_at_once_whether_puts_are_conditional_are_told_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One was told no, as the other had just removed the object that both wrote: then one driver
    went by epochs and the other by a lease."""
    call, told = s3.Bucket.call, []

    def interrupted(bucket: s3.Bucket, name: str, key: str, **more: object) -> object:
        if "IfNoneMatch" in more and not told:
            told.append(None)
            told.append(storage.put_is_conditional(f"{BUCKET}/asked"))
        return call(bucket, name, key, **more)

    monkeypatch.setattr(s3.Bucket, "call", interrupted)
    assert storage.put_is_conditional(f"{BUCKET}/asked")
    assert told == [None, True]
    assert storage.list_files(f"{BUCKET}/asked") == []


def test_the_first_receipt_wins_and_the_manifest_comes_last() -> None:
    step = Dataset(f"{BUCKET}/run/step-1", "f1")
    first = step.commit_table("00000", rows(1, 2), rows_in=2)
    again = step.commit_table("00000", rows(3, 4), rows_in=2)
    assert again == first
    assert not step.is_complete()
    with pytest.raises(PublishError, match="units not done: 00001"):
        step.publish(["00000", "00001"])
    step.commit_table("00001", rows(5), rows_in=1)
    step.publish(["00000", "00001"], key="id")
    step.publish(["00000", "00001"], key="id")  # a second driver finds the same
    assert step.read()["id"].to_pylist() == [1, 2, 5]
    assert is_whole(step)
    with pytest.raises(PublishError, match="other inputs or settings"):
        Dataset(step.uri, "f2").is_complete()


def test_a_folder_goes_up_and_comes_back(tmp_path: Path) -> None:
    step = Dataset(f"{BUCKET}/run/model", "m")

    def save(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner/weights").write_bytes(b"w" * 100)

    step.publish_folder(save)
    step.download(tmp_path / "local")
    assert (tmp_path / "local/inner/weights").read_bytes() == b"w" * 100
    storage.write_bytes(f"{step.folder()}/inner/weights", b"changed")
    with pytest.raises(PublishError, match="inner/weights is not the file"):
        step.download(tmp_path / "again")


def test_a_key_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("../out", "/etc/x")):
        key = f"leads-{number}/{name}"
        boto3.client("s3").put_object(Bucket="lake", Key=key, Body=b"x")
        with pytest.raises(storage.StorageError, match="leads out of its folder"):
            storage.download_folder(f"{BUCKET}/leads-{number}", tmp_path / "in/side")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def without_conditions(self: s3.Bucket, operation: str, key: str, **arguments: object) -> object:
    """A store that writes whatever the condition says."""
    arguments.pop("IfNoneMatch", None)
    return CALL(self, operation, key, **arguments)


def refusing_conditions(self: s3.Bucket, operation: str, key: str, **arguments: object) -> object:
    """A store that does not know the condition."""
    if "IfNoneMatch" in arguments:
        answer = {"ResponseMetadata": {"HTTPStatusCode": 501}, "Error": {"Code": "NotImplemented"}}
        raise storage.StorageError(key) from ClientError(answer, operation)
    return CALL(self, operation, key, **arguments)


CALL = s3.Bucket.call


@pytest.mark.parametrize("call", [without_conditions, refusing_conditions])
def test_where_no_condition_holds_who_has_the_lease_decides(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., object]
) -> None:
    """One rule for runs and batch jobs: what a run publishes with is told by the store."""
    run = f"{BUCKET}/{call.__name__}"
    assert by_lease(run, "me") is None  # this store heeds the condition: nothing else is needed
    monkeypatch.setattr(s3.Bucket, "call", call)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    with lease.held(f"{run}/LEASE.json") as token:
        step = Dataset(f"{run}/step", "f", fence=by_lease(run, token))
        first = step.commit_table("u", rows(1, 2), rows_in=2)
        assert step.commit_table("u", rows(3, 4), rows_in=2) == first
        step.publish(["u"])
        assert step.read()["id"].to_pylist() == [1, 2]
        stale = Dataset(f"{run}/other", "f", fence=by_lease(run, "somebody else"))
        with pytest.raises(StaleDriver):
            stale.commit_table("u", rows(5), rows_in=1)
        assert stale.done_units() == set()


def test_a_file_comes_down_in_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "BLOCK", 1000)
    for size in (0, 1, 999, 1000, 1001, 12_345):
        content = bytes(number % 251 for number in range(size))
        storage.write_bytes(f"{BUCKET}/big", content)
        storage.download_file(f"{BUCKET}/big", tmp_path / "big")
        assert (tmp_path / "big").read_bytes() == content
    with pytest.raises(storage.StorageError, match="s3://lake/absent: no such file"):
        storage.download_file(f"{BUCKET}/absent", tmp_path / "absent")


def test_a_disk_that_takes_less_at_a_time_gets_all_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "BLOCK", 1000)
    content = bytes(range(256)) * 10
    storage.write_bytes(f"{BUCKET}/big", content)
    plain = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: plain(file, data[:300], at))
    storage.download_file(f"{BUCKET}/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == content


def test_a_range_that_came_short_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes(f"{BUCKET}/big", b"x" * 1000)
    plain = s3.ObjectReader._get
    monkeypatch.setattr(s3.ObjectReader, "_get", lambda *given: plain(*given)[:900])
    with pytest.raises(storage.StorageError, match="s3://lake/big: 900 of 1000 bytes came"):
        storage.download_file(f"{BUCKET}/big", tmp_path / "big")


def test_ranges_of_two_versions_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "BLOCK", 1000)
    storage.write_bytes(f"{BUCKET}/big", b"a" * 5000)
    head = s3.Bucket.head

    def change_after(bucket: s3.Bucket, key: str) -> object:
        found = head(bucket, key)
        bucket.put(key, b"b" * 5000)
        return found

    monkeypatch.setattr(s3.Bucket, "head", change_after)
    with pytest.raises(storage.StorageError, match="s3://lake/big: it was changed"):
        storage.download_file(f"{BUCKET}/big", tmp_path / "big")


KEYS = ("user@host.jsonl", "a#1.jsonl", "b?x=1.jsonl", "c%20 é.jsonl", "d\t.jsonl", "x/../e.jsonl")


def test_keys_of_any_signs_are_read_or_are_a_reject() -> None:
    client = boto3.client("s3")
    for key in KEYS:
        data = json.dumps({"id": key, "text": "words"}).encode()
        client.put_object(Bucket="lake", Key=f"signs/{key}", Body=data)
    good, bad = read(f"{BUCKET}/signs", size=5)  # each is bigger than a unit: cutting looks at it
    assert [document["doc_id"] for document in good] == sorted(KEYS[:4])
    assert [(name, position) for name, position, _ in bad] == [("d\t.jsonl", 0)]


def test_an_object_that_is_kept_packed_is_unpacked() -> None:
    data = b'{"id": "d", "text": "words"}\n'
    packed = {"Body": gzip.compress(data), "ContentEncoding": "gzip"}
    for name in ("a.jsonl", "b.jsonl.gz"):
        boto3.client("s3").put_object(Bucket="lake", Key=f"packed/{name}", **packed)
    good, bad = read(f"{BUCKET}/packed", size=5)
    assert (len(good), bad) == (2, [])


class _WithoutChecksums(BaseHTTPRequestHandler):
    """A store that refuses what it does not know."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refused = "x-amz-sdk-checksum-algorithm" in self.headers
        message = "Unsupported header 'x-amz-sdk-checksum-algorithm' received"
        data = f"<Error><Code>InvalidArgument</Code><Message>{message}</Message></Error>".encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(data) if refused else 0))
        self.end_headers()
        self.wfile.write(data if refused else b"")

    def log_message(self, *_: object) -> None:
        pass


def test_a_store_that_knows_no_checksums_says_which_variable_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = ThreadingHTTPServer(("127.0.0.1", 0), _WithoutChecksums)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.server_port}")
    try:
        with pytest.raises(
            storage.StorageError, match="AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
        ):
            storage.write_bytes(f"{BUCKET}/a", b"1")
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        storage.write_bytes(f"{BUCKET}/a", b"1")
    finally:
        store.shutdown()
        store.server_close()
