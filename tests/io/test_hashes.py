"""A file is hashed once a machine, and again when it changed, however that is hidden."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from lmtx_ray.io.hashes import file_sha256, remember
from lmtx_ray.io.storage import StorageError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_that_nobody_touched_is_not_read_again(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file_sha256(weights) == sha256(b"one")
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert file_sha256(weights) == sha256(b"one")


def test_what_is_known_of_a_file_need_not_be_read(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(weights, sha256(b"one"))
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert file_sha256(weights) == sha256(b"one")


def test_a_change_of_equal_size_is_found_with_its_time_set_back(weights: Path) -> None:
    before = weights.stat()
    assert file_sha256(weights) == sha256(b"one")
    weights.write_bytes(b"two")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_sha256(weights) == sha256(b"two")


def test_a_file_in_the_place_of_another_is_found(weights: Path, tmp_path: Path) -> None:
    assert file_sha256(weights) == sha256(b"one")
    other = tmp_path / "other"
    other.write_bytes(b"two")
    shutil.copystat(weights, other)
    other.replace(weights)
    assert file_sha256(weights) == sha256(b"two")


def test_a_file_that_changes_again_and_again_is_hashed_as_it_is(weights: Path) -> None:
    for number in range(20):
        content = f"{number:03d}".encode()
        weights.write_bytes(content)
        assert file_sha256(weights) == sha256(content)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="absent"):
        file_sha256(tmp_path / "absent")
