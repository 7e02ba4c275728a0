"""Bundles on this machine: what is asked for and no more, once, as it was published."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.bundle.cache import open_bundle, published_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST
from lmtx_ray.io.receipts import PublishError, StoredFile
from serve_apps.application import shard_count
from serve_apps.shard import load_held
from tests.lake import upload

BUCKET = "s3://lake"


@pytest.fixture(autouse=True)
def kept(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cached bundles; there is an S3 server."""
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bundles"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URIs of the files that were fetched."""
    seen: list[str] = []
    fetch = storage.download_file

    def noted(uri: str, local: str | Path, etag: str = "") -> None:
        seen.append(uri)
        fetch(uri, local, etag)

    monkeypatch.setattr(storage, "download_file", noted)
    return seen


@pytest.fixture
def on_s3(other_bundle: str) -> str:
    """A bundle with three index shards."""
    upload(other_bundle, f"{BUCKET}/bundle")
    return f"{BUCKET}/bundle"


def small(number: int) -> str:
    """A bundle of one small file on S3."""
    uri = f"{BUCKET}/small-{number}"
    Dataset(uri, "f").publish_folder(lambda to: (to / "bundle.json").write_text(f"{number}"))
    return uri


def names(folder: str) -> set[str]:
    files = (path for path in Path(folder).rglob("*") if not path.name.startswith("."))
    return {path.relative_to(folder).as_posix() for path in files if path.is_file()}


def test_a_bundle_on_s3_answers_like_the_local_one(on_s3: str, other_bundle: str) -> None:
    texts = ["heart pain", "a study of the lung"]
    near, far = (Tagger.load(uri, threads=1) for uri in (other_bundle, on_s3))
    assert far.tag(texts).equals(near.tag(texts))


def test_a_shard_fetches_its_own_file_and_the_description(on_s3: str, other_bundle: str) -> None:
    held = load_held(on_s3, 1, 3)
    assert names(held.held.folder) == {"bundle.json", "index/shard-00001.safetensors"}
    query = np.random.default_rng(0).normal(size=(2, held.shards[0].vectors_LD.shape[1]))
    expected = load_held(other_bundle, 1, 3).search(query, 3)
    for found, wanted in zip(held.search(query, 3), expected, strict=True):
        assert np.array_equal(found, wanted)
    assert shard_count(on_s3) == 0


def test_a_shard_of_a_bundle_without_rows_in_its_description_counts_them(
    other_bundle: str, tmp_path: Path
) -> None:
    def save(folder: Path) -> None:
        Dataset(other_bundle).download(folder)
        description = storage.read_json(f"{folder}/bundle.json")
        del description["index_rows"]
        storage.write_bytes(f"{folder}/bundle.json", storage.to_json(description))

    Dataset(str(tmp_path / "older"), "older").publish_folder(save)
    starts = [load_held(str(tmp_path / "older"), number, 3).shards[0].start for number in range(3)]
    assert starts == [load_held(other_bundle, number, 3).shards[0].start for number in range(3)]


def test_all_who_ask_at_once_share_one_download(on_s3: str, downloads: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(open_bundle, [on_s3] * 4))
    assert len({one.folder for one in opened}) == 1
    assert sorted(downloads) == sorted(set(downloads))
    assert len(downloads) == len(opened[0].published.files) == len(names(opened[0].folder))
    open_bundle(on_s3)
    assert len(downloads) == len(opened[0].published.files)


def test_a_damaged_copy_is_fetched_again(on_s3: str, downloads: list[str]) -> None:
    folder = open_bundle(on_s3).folder
    path = Path(folder, "labels.parquet")
    content, stat = path.read_bytes(), path.stat()
    path.write_bytes(content[:-1] + b"!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    downloads.clear()
    open_bundle(on_s3)
    assert downloads == [published_bundle(on_s3).location("labels.parquet")]
    assert path.read_bytes() == content


def test_what_a_killed_process_left_is_written_over(on_s3: str, kept: Path) -> None:
    folder = Path(open_bundle(on_s3, lambda name: False).folder)
    folder.mkdir()
    (folder / ".draft-bundle.json").write_text("half of it, and more than there is" * 100)
    open_bundle(on_s3)
    assert storage.read_json(f"{folder}/bundle.json")["bundle_id"] == "bundle-two"


@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: b""])
def test_a_file_that_was_changed_where_it_was_published_is_refused(
    on_s3: str, change: Callable[[bytes], bytes]
) -> None:
    uri = published_bundle(on_s3).location("bundle.json")
    storage.write_bytes(uri, change(storage.read_bytes(uri)))
    with pytest.raises(PublishError, match=r"/bundle\.json is not the file"):
        open_bundle(on_s3)


@pytest.mark.parametrize("where", ["local", "s3"])
def test_files_have_the_names_that_loaders_know_however_they_are_stored(
    where: str, tmp_path: Path
) -> None:
    uri = f"{BUCKET}/attempts" if where == "s3" else str(tmp_path / "attempts")
    files = {}
    for name in ("a", "b"):
        data = f"{name}-1f".encode()
        storage.write_bytes(f"{uri}/{name}-1f", data)
        files[f"in/{name}"] = StoredFile(f"{name}-1f", hashlib.sha256(data).hexdigest())
    Dataset(uri, "f").publish_files(files)
    folder = open_bundle(uri).folder
    assert names(folder) == {"in/a", "in/b"}
    assert Path(folder, "in/a").read_text() == "a-1f"
    if where == "local":
        Path(uri, "a-1f").write_text("a-1g")
        with pytest.raises(PublishError, match="a-1f is not the file"):
            open_bundle(uri)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../a", "/etc/a"):
        manifest = {"fingerprint": "f", "sha256": {name: "0" * 64}}
        storage.write_bytes(f"{tmp_path}/b/{MANIFEST}", storage.to_json(manifest))
        with pytest.raises(PublishError, match="outside of its folder"):
            open_bundle(str(tmp_path / "b"))


def test_old_bundles_go_and_one_in_use_stays(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMTX_CACHE_BUNDLES", "2")
    uris = [small(number) for number in range(4)]
    held = open_bundle(uris[0])
    for number, uri in enumerate(uris[1:], 1):
        key = open_bundle(uri).published.key
        os.utime(kept / f"{key}.lock", (10**9 + number, 10**9 + number))
    assert names(str(kept / held.published.key)) == {"bundle.json"}
    open_bundle(uris[3])
    left = {Path(folder, "bundle.json").read_text() for folder in kept.iterdir() if folder.is_dir()}
    assert left == {"0", "3"}
    del held
    open_bundle(uris[1])
    left = {Path(folder, "bundle.json").read_text() for folder in kept.iterdir() if folder.is_dir()}
    assert left == {"3", "1"}
