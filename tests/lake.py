"""An S3 server in a process of its own, for tests, and places on it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmtx_ray.io import storage
from lmtx_ray.io.s3_client import client
from serve_apps.ports import free_port

BUCKET = "lake"


@pytest.fixture(scope="session")
def s3_process() -> Iterator[str]:
    """Endpoint URL of a moto server, which takes seconds to start: one for all modules."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def an_empty_lake(url: str) -> Iterator[None]:
    """All that the server holds is the empty bucket `lake`; AWS_* variables point at it."""
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()
        client().create_bucket(Bucket=BUCKET)
        yield


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
def server(s3_process: str) -> Iterator[str]:
    """Endpoint of a server with the bucket `lake`, in which other modules have left nothing."""
    with an_empty_lake(s3_process):
        yield s3_process


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> str:
    """A folder of this test's own, on a disk and on S3."""
    return str(tmp_path) if request.param == "disk" else f"s3://{BUCKET}/{tmp_path.name}"
