"""A bundle for the batch tests, and places on a disk and on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lake import s3_server
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle")
    return publish_bundle(folder / "bundle", save_encoder(folder / "model"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> str:
    return str(tmp_path) if request.param == "disk" else f"s3://lake/{tmp_path.name}"
