"""What makes two models the same: the content of their files, wherever they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmtx_ray.io import storage
from lmtx_ray.io.identity import model_identity


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes"


def model(folder: Path, weights: str = "w") -> str:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    return str(folder)


def test_content_counts_and_the_place_does_not(tmp_path: Path) -> None:
    one, other = model(tmp_path / "a"), model(tmp_path / "b")
    before = model_identity(one)
    assert model_identity(other) == before
    (tmp_path / "b/README.md").write_text("no part of a model")
    assert model_identity(other) == before
    (tmp_path / "b/1_Pooling/config.json").write_text('{"mode": "cls"}')
    assert model_identity(other) != before
    (tmp_path / "a/model.safetensors").rename(tmp_path / "a/other.safetensors")
    assert model_identity(one) != before


def test_a_hub_id_is_its_name(tmp_path: Path) -> None:
    assert model_identity("some/model") == model_identity("some/model")
    assert len({model_identity(name) for name in ("", "some/model", "other/model")}) == 3


def test_weights_are_read_once_and_again_when_they_changed(tmp_path: Path, cache: Path) -> None:
    folder = model(tmp_path / "a")
    before = model_identity(folder)
    hashes = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(hashes) == 2
    assert model_identity(folder) == before
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == hashes
    (tmp_path / "a/model.safetensors").write_text("x")
    os.utime(tmp_path / "a/model.safetensors", ns=(1, 1))
    assert model_identity(folder) != before


@pytest.mark.parametrize("broken", ["", "00", "no hash", "0" * 63])
def test_a_broken_cache_changes_nothing(tmp_path: Path, cache: Path, broken: str) -> None:
    """A machine that lost its power may leave empty files: the model is still the same."""
    folder = model(tmp_path / "a")
    before = model_identity(folder)
    for path in cache.iterdir():
        path.write_text(broken)
    assert model_identity(folder) == before


def test_without_a_place_for_the_cache_models_are_hashed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "a")
    before = model_identity(folder)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "file"))
    assert model_identity(folder) == before


@pytest.mark.usefixtures("server")
def test_a_model_on_s3_is_known_by_its_objects(tmp_path: Path) -> None:
    bucket = "s3://lake"
    for path in Path(model(tmp_path / "a")).rglob("*"):
        if path.is_file():
            for name in ("one", "two"):
                inside = path.relative_to(tmp_path / "a").as_posix()
                storage.put_file(path, f"{bucket}/{name}/{inside}")
    before = model_identity(f"{bucket}/one")
    assert model_identity(f"{bucket}/two") == before
    assert model_identity(f"{bucket}/one/") == before
    storage.write_bytes(f"{bucket}/one/model.safetensors", b"changed")
    assert model_identity(f"{bucket}/one") != before
