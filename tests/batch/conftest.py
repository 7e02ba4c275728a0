"""A bundle for the batch tests."""

from __future__ import annotations

import pytest

from tests.bundles import save_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_bundle(tmp_path_factory.mktemp("bundle"))
