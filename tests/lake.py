"""An S3 server in a process of its own, for tests, and places on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from lmtx_ray.io import storage
from serve_apps.ports import free_port

BUCKET = "lake"


@contextmanager
def s3_server() -> Iterator[str]:
    """Endpoint URL of a moto server with the bucket `lake`; AWS_* variables point at it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )
    try:
        _wait_for(port)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the S3 server did not start")


def upload(folder: str | Path, uri: str) -> None:
    """A local folder's files under `uri`."""
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            storage.put_file(path, storage.join(uri, path.relative_to(folder).as_posix()))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Endpoint of a server of this module's own, with the bucket `lake`."""
    with s3_server() as url:
        yield url


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> str:
    """A folder of this test's own, on a disk and on S3."""
    return str(tmp_path) if request.param == "disk" else f"s3://{BUCKET}/{tmp_path.name}"
