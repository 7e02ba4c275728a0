"""One copy of a remote model folder a node: fetched once, kept while it is used, then evicted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.io import storage
from lmtx_ray.io.node_cache import node_copy
from lmtx_ray.student.encoder import Encoder
from tests.lake import upload
from tests.tiny import save_encoder

FETCH = """
import sys, time
from lmtx_ray.io import storage
from lmtx_ray.io.node_cache import node_copy
def half(uri, local, etag=""):
    open(local, "wb").write(b"wei")
    print("half", flush=True)
    time.sleep(600)
storage.download_file = half
node_copy(sys.argv[1])
"""


@pytest.fixture(scope="module", autouse=True)
def lake(server: str) -> None:
    """All of it lies on S3."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache" / "models"


def put(name: str, content: bytes = b"weights" * 100) -> str:
    storage.write_bytes(f"s3://lake/{name}/model.safetensors", content)
    storage.write_bytes(f"s3://lake/{name}/1_Pooling/config.json", b"{}")
    return f"s3://lake/{name}"


def elsewhere(*uris: str) -> list[str]:
    """What processes of their own get, all at once; they have ended then."""
    pool = ProcessPoolExecutor(len(uris), mp_context=get_context("fork"))
    with pool:
        return list(pool.map(node_copy, uris))


def copies(cache: Path) -> set[str]:
    """All that is there but locks."""
    return {str(path) for path in cache.iterdir() if path.suffix != ".lock"}


def test_processes_that_need_a_model_at_once_share_one_copy(cache: Path) -> None:
    uri = put("judge")
    found = elsewhere(uri, uri, f"{uri}/")
    assert copies(cache) == set(found)
    file = Path(found[0], "model.safetensors")
    assert file.read_bytes() == b"weights" * 100
    assert Path(found[0], "1_Pooling", "config.json").read_bytes() == b"{}"
    inode = file.stat().st_ino
    assert elsewhere(uri) == [node_copy(uri)] == [node_copy(uri)] == found[:1]
    assert file.stat().st_ino == inode
    assert not os.listdir(tempfile.gettempdir())


def test_other_content_under_the_same_name_is_another_copy(cache: Path) -> None:
    first = elsewhere(put("retrained"))
    second = elsewhere(put("retrained", b"newer"))
    assert copies(cache) == {*first, *second}
    assert Path(second[0], "model.safetensors").read_bytes() == b"newer"


def test_the_copy_unused_for_longest_makes_room_but_none_that_is_in_use(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMTX_CACHE_GIB", f"{2000 / 2**30:.15f}")  # room for two of 702 bytes
    used = node_copy(put("used"))
    (old,) = elsewhere(put("old", b"o" * 700))
    (new,) = elsewhere(put("new", b"n" * 700))
    assert copies(cache) == {used, new}
    assert not Path(old).exists()


def test_what_a_killed_process_left_half_fetched_is_written_over(cache: Path) -> None:
    uri = put("half")
    (found,) = elsewhere(uri)
    Path(found, "model.safetensors").rename(Path(found, ".draft-model.safetensors"))
    Path(found, ".draft-model.safetensors").write_bytes(b"half of it, and more than is there" * 100)
    Path(found, "1_Pooling/config.json").write_bytes(b"")
    assert elsewhere(uri) == [found]
    assert Path(found, "model.safetensors").read_bytes() == b"weights" * 100
    assert Path(found, "1_Pooling/config.json").read_bytes() == b"{}"
    assert not Path(found, ".draft-model.safetensors").exists()


def test_a_process_killed_while_it_fetches_blocks_nobody(cache: Path) -> None:
    uri = put("slow")
    fetching = subprocess.Popen([sys.executable, "-c", FETCH, uri], stdout=subprocess.PIPE)
    assert fetching.stdout is not None
    assert fetching.stdout.readline() == b"half\n"
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        waiting = pool.submit(node_copy, uri)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        fetching.kill()
        fetching.wait()
        found = waiting.result(timeout=60)
    assert Path(found, "model.safetensors").read_bytes() == b"weights" * 100


def test_a_copy_that_was_deleted_by_hand_is_fetched_again(cache: Path) -> None:
    uri = put("deleted")
    Path(node_copy(uri)).rename(cache / "aside")
    assert Path(node_copy(uri), "model.safetensors").exists()


def test_what_is_not_there_or_leads_elsewhere_is_refused(cache: Path) -> None:
    with pytest.raises(storage.StorageError, match="s3://lake/absent: no such folder"):
        node_copy("s3://lake/absent")
    storage.write_bytes("s3://lake/odd//etc/name", b"x")
    with pytest.raises(storage.StorageError, match="s3://lake/odd//etc/name: leads out"):
        node_copy("s3://lake/odd")


def test_a_local_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    assert node_copy(str(tmp_path)) == node_copy(f"file://{tmp_path}") == str(tmp_path)


def test_an_encoder_on_s3_is_loaded_from_the_copy(cache: Path, tmp_path: Path) -> None:
    local = save_encoder(tmp_path / "made")
    upload(local, "s3://lake/encoder")
    vectors = []
    for model in (local, "s3://lake/encoder"):
        encoder = Encoder(EncoderConfig(model=model, dtype="float32", threads=1))
        vectors.append(encoder.encode(["heart pain"], "document"))
    assert np.array_equal(*vectors)
    assert len(copies(cache)) == 1
    assert not os.listdir(tempfile.gettempdir())
