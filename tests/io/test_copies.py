"""What leaves this machine's copies: the longest unused of any kind, and nothing that is in use."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from lmtx_ray.bundle.cache import LocalBundle, open_bundle
from lmtx_ray.io import storage
from lmtx_ray.io.locations import StorageError
from lmtx_ray.io.node_cache import node_copy
from lmtx_ray.io.publish import Dataset
from lmtx_ray.verdicts.files import LocalLayer, local_file

BYTES = 1000
BUNDLE, MODEL, LAYER = "bundles", "models", "verdicts"
Held = LocalBundle | LocalLayer


@pytest.fixture(scope="module", autouse=True)
def lake(server: str) -> None:
    """All of it lies on S3."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lake_of(tmp_path: Path) -> str:
    """A folder of the bucket for one test."""
    return f"s3://lake/{tmp_path.name}"


def bundle(lake_of: str, name: str = "bundle") -> LocalBundle:
    """A held bundle of BYTES."""
    uri = f"{lake_of}/{name}"
    Dataset(uri, name).publish_folder(
        lambda to: (to / "bundle.json").write_bytes(name[-1:].encode() * BYTES)
    )
    return open_bundle(uri)


def layer(lake_of: str, name: str = "layer") -> LocalLayer:
    """A held layer of BYTES with its keys."""
    for suffix, size in ((".parquet", BYTES // 2), (".npy", BYTES // 2)):
        storage.write_bytes(f"{lake_of}/p/layers/{name}{suffix}", b"l" * size)
    return local_file(f"{lake_of}/p", f"{name}.parquet")


def model(lake_of: str, size: int = BYTES) -> str:
    """A model's copy, in use as long as this process."""
    storage.write_bytes(f"{lake_of}/model/weights", b"w" * size)
    return node_copy(f"{lake_of}/model")


def kinds(cache: Path) -> set[str]:
    """Kinds of which a copy is there."""
    return {path.parent.name for path in cache.glob("*/*") if path.is_dir()}


def contents(uri: str) -> set[bytes]:
    """What a bundle's files hold while it is open."""
    held = open_bundle(uri)
    return {Path(held.folder, name).read_bytes() for name in held.published.files}


def last_used(cache: Path, kind: str, at: int) -> None:
    for path in (cache / kind).glob("*.lock"):
        os.utime(path, (10**9 + at, 10**9 + at))


def limit(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setenv("LMTX_CACHE_GIB", f"{size / 2**30:.18f}")


def fetched_before(cache: Path, lake_of: str, at: dict[str, int]) -> None:
    """A bundle and a layer that nobody uses, last used at these times."""
    bundle(lake_of)
    layer(lake_of)
    for kind, second in at.items():
        last_used(cache, kind, second)


@pytest.mark.parametrize(("older", "newer"), [(BUNDLE, LAYER), (LAYER, BUNDLE)])
def test_the_longest_unused_copy_of_any_kind_makes_room_before_another_comes(
    cache: Path, lake_of: str, older: str, newer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmtx_ray.io.copies.MOST_SECONDS", float("inf"))
    fetched_before(cache, lake_of, {older: 1, newer: 2})
    limit(monkeypatch, 2 * BYTES + 10)
    download, there = storage.download_file, []

    def noted(uri: str, local: Path, etag: str = "") -> None:
        there.append(kinds(cache) - {MODEL})
        download(uri, local, etag)

    monkeypatch.setattr(storage, "download_file", noted)
    model(lake_of)
    assert there == [{newer}]
    assert kinds(cache) == {newer, MODEL}


def test_what_is_in_use_stays_even_where_the_limit_is_passed(
    cache: Path, lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 10)
    used: list[Held] = [layer(lake_of), bundle(lake_of)]
    for kind in (BUNDLE, LAYER):
        last_used(cache, kind, 0)
    model(lake_of)
    assert kinds(cache) == {BUNDLE, LAYER, MODEL}
    used.clear()
    bundle(lake_of, "another")
    assert kinds(cache) == {BUNDLE, MODEL}
    assert len([path for path in (cache / BUNDLE).iterdir() if path.is_dir()]) == 1


def test_a_number_of_bundles_is_no_number_of_models_or_layers(
    cache: Path, lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMTX_CACHE_BUNDLES", "1")
    for number in range(3):
        layer(lake_of, f"layer-{number}")
        bundle(lake_of, f"bundle-{number}")
    count = {kind: sum(p.is_dir() for p in (cache / kind).iterdir()) for kind in (BUNDLE, LAYER)}
    assert count == {BUNDLE: 1, LAYER: 3}


def test_steps_of_a_run_do_not_push_out_the_bundle_that_answers(
    cache: Path, lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMTX_CACHE_BUNDLES", "1")
    bundle(lake_of)
    for name in ("index-0", "memory-1"):
        uri = f"{lake_of}/{name}"
        Dataset(uri, name).publish_folder(lambda to: (to / "shard").write_bytes(b"s"))
        open_bundle(uri)
    assert kinds(cache) == {BUNDLE, "steps"}


def test_processes_that_evict_each_others_copies_each_find_their_own_whole(
    lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uris = [bundle(lake_of, f"bundle-{number}").published.uri for number in range(3)]
    limit(monkeypatch, 10)
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        found = list(pool.map(contents, uris * 3))
    assert found == [{b"0" * BYTES}, {b"1" * BYTES}, {b"2" * BYTES}] * 3


def test_a_copy_that_nobody_used_for_a_month_goes_whatever_its_kind(
    cache: Path, lake_of: str
) -> None:
    fetched_before(cache, lake_of, {BUNDLE: 1, LAYER: 1})
    (cache / BUNDLE / "without-a-lock").mkdir()
    model(lake_of)
    assert kinds(cache) == {MODEL}


def test_what_was_fetched_before_is_used_without_making_room(
    cache: Path, lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(lake_of)
    layer(lake_of)
    limit(monkeypatch, 10)
    open_bundle(f"{lake_of}/bundle")
    assert kinds(cache) == {BUNDLE, LAYER}


@pytest.mark.parametrize("name", ["LMTX_CACHE_GIB", "LMTX_CACHE_BUNDLES"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_a_setting_that_is_no_number_is_named(
    name: str, value: str, lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name}='{value}'"):
        layer(lake_of)


def test_a_held_copy_is_no_message_to_another_process(lake_of: str) -> None:
    with pytest.raises(TypeError, match="stays in the process"):
        pickle.dumps(bundle(lake_of))


def test_a_file_that_changes_while_a_folder_is_fetched_is_refused(
    lake_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = storage.list_entries

    def overtaken(uri: str) -> list[storage.Entry]:
        found = listed(uri)
        storage.write_bytes(f"{uri}/weights", b"v" * BYTES)
        return found

    monkeypatch.setattr(storage, "list_entries", overtaken)
    with pytest.raises(StorageError, match="weights: it was changed"):
        model(lake_of)
