"""A bundle for the batch tests, and places on a disk and on S3."""

from __future__ import annotations

import pytest

from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle")
    return publish_bundle(folder / "bundle", save_encoder(folder / "model"))
