"""Folders that are published whole, by one of several drivers or not at all."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from tests.published import is_whole


def publish_at_once(step: Dataset, contents: list[str]) -> list[object]:
    """Drivers that all saw nothing published, and write their folders at the same moment."""
    barrier = threading.Barrier(len(contents))

    def publish(content: str) -> object:
        def save(folder: Path) -> None:
            (folder / "weights.txt").write_text(content)
            barrier.wait()

        try:
            return step.publish_folder(save)
        except PublishError as error:
            return str(error)

    with ThreadPoolExecutor(len(contents)) as pool:
        return list(pool.map(publish, contents))


@pytest.mark.parametrize("attempt", range(5))
def test_who_loses_the_race_for_a_folder_harms_nothing(tmp_path: Path, attempt: int) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    ended = publish_at_once(step, ["one", "two", "three"])
    assert is_whole(step)
    lost = [end for end in ended if isinstance(end, str)]
    assert len(lost) == 2
    assert all("another driver published a different output" in end for end in lost)
    assert len(list(tmp_path.rglob("weights.txt"))) == 1  # of the others nothing is left


def test_equal_folders_are_one_output(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    ended = publish_at_once(step, ["same"] * 3)
    assert ended == [step.manifest()] * 3
    assert is_whole(step)
    assert [path.name for path in tmp_path.rglob("weights.txt")] == ["weights.txt"]
    assert Path(step.folder(), "weights.txt").read_text() == "same"


def save_two(folder: Path) -> None:
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")


def test_an_attempt_that_fails_leaves_no_file(tmp_path: Path, monkeypatch) -> None:
    step, plain = Dataset(str(tmp_path / "s"), "f"), storage.put_file

    def full(path: Path, uri: str) -> None:
        if uri.endswith("b.txt"):
            raise storage.StorageError("the disk is full")
        plain(path, uri)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_file", full)
        with pytest.raises(storage.StorageError, match="the disk is full"):
            step.publish_folder(save_two)
    assert not list(tmp_path.rglob("*.txt"))
    step.publish_folder(save_two)
    assert is_whole(step)


def test_files_stay_where_the_answer_to_their_manifest_was_lost(
    tmp_path: Path, monkeypatch
) -> None:
    step, plain = Dataset(str(tmp_path / "s"), "f"), storage.put_if_absent

    def unanswered(uri: str, data: bytes) -> bool:
        plain(uri, data)
        raise storage.StorageError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_if_absent", unanswered)
        with pytest.raises(storage.StorageError, match="the connection broke"):
            step.publish_folder(save_two)
    assert is_whole(step)


def test_a_manifest_of_files_without_attempts_is_still_read(tmp_path: Path) -> None:
    uri, text = str(tmp_path / "s"), b"one"
    storage.write_bytes(f"{uri}/a.txt", text)
    hashes = {"a.txt": hashlib.sha256(text).hexdigest()}
    storage.write_bytes(
        f"{uri}/MANIFEST.json", storage.to_json({"fingerprint": "f", "sha256": hashes})
    )
    step = Dataset(uri, "f")
    assert is_whole(step)
    assert step.folder() == uri
    step.download(tmp_path / "local")
    assert (tmp_path / "local/a.txt").read_bytes() == text
