"""The verdict store on S3: the same promises as on a disk, and each file fetched once a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io import s3, storage
from lmtx_ray.verdicts import layers
from lmtx_ray.verdicts.layers import merge, merge_if_due
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.reading import stats
from lmtx_ray.verdicts.store import Partition, VerdictStore
from tests.verdicts.rows import Pair, keys, stored


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "verdicts"


@pytest.fixture
def store(server: str, tmp_path: Path) -> VerdictStore:
    return VerdictStore(f"s3://lake/{tmp_path.name}")


@pytest.fixture
def partition(store: VerdictStore) -> Partition:
    return store.partition("t", "p")


@pytest.fixture
def unconditional(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that writes whatever the condition of a write says."""
    plain = s3.Bucket.call

    def call(self: s3.Bucket, operation: str, key: str, **arguments: object) -> object:
        arguments.pop("IfNoneMatch", None)
        return plain(self, operation, key, **arguments)

    monkeypatch.setattr(s3.Bucket, "call", call)


def found(partition: Partition, pairs: list[Pair]) -> set[tuple[bytes, bytes]]:
    table = Lookup(partition.snapshot()).find({text_key(f"d{d}") for d, _ in pairs})
    return set(zip(table["document"].to_pylist(), table["label"].to_pylist(), strict=True))


def test_what_was_appended_and_merged_is_found(partition: Partition, store: VerdictStore) -> None:
    pairs = [(n, n % 3) for n in range(30)]
    assert found(partition, pairs) == set()
    for start in range(0, 30, 10):
        partition.append(stored(pairs[start : start + 10]), f"{start}")
        assert found(partition, pairs) == keys(pairs[: start + 10])
        if start == 10:
            assert merge(partition)
    assert found(partition, pairs) == keys(pairs)
    assert store.judges() == ["t-p"]
    assert partition.describe({"model": "m"}) == partition.describe({"model": "n"})
    assert stats(store)[0]["verdicts"] == 30


def test_a_layer_is_fetched_once_and_again_where_it_is_lost(
    partition: Partition, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [(n, 0) for n in range(9)]
    partition.append(stored(pairs), "a")
    merge(partition)
    fetched: list[str] = []
    plain = storage.download_file

    def count(uri: str, local: Path, etag: str = "") -> None:
        fetched.append(uri)
        plain(uri, local, etag)

    monkeypatch.setattr(storage, "download_file", count)
    for _ in range(2):
        assert found(partition, pairs) == keys(pairs)
        assert len(fetched) == 2  # the rows, and their keys
    for path in cache.rglob("*.npy"):
        path.unlink()
    assert found(partition, pairs) == keys(pairs)
    assert len(fetched) == 3


def test_a_layer_stays_as_long_as_a_lookup_may_read_it(
    partition: Partition, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMTX_CACHE_GIB", "1e-9")
    partition.append(stored([(1, 1)]), "a")
    merge(partition)
    lookup = Lookup(partition.snapshot())
    assert lookup.find({text_key("d1")}).num_rows == 1
    for round_ in range(2, 4):  # each merge writes a new layer, whose copy needs room
        partition.append(stored([(round_, 1)]), f"{round_}")
        merge(partition)
        assert found(partition, [(round_, 1)]) == keys([(round_, 1)])
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 2
    del lookup
    many = [(number, 1) for number in range(4, 9)]
    partition.append(stored(many), "4")
    merge(partition)
    assert found(partition, many) == keys(many)
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_store_that_ignores_conditions_merges_nothing_and_still_answers(
    partition: Partition, store: VerdictStore, unconditional: None, capsys, caplog
) -> None:
    pairs = [(n, 1) for n in range(6)]
    for pair in pairs:
        partition.append(stored([pair]), f"{pair[0]}")
    assert not merge_if_due(partition, many=2)
    assert "ignores conditional writes; nothing merged" in caplog.text
    assert main(["verdicts", "merge", store.uri]) == 0  # nor when it is told to
    assert '"merged": 0' in capsys.readouterr().out
    assert partition.generation()[0] == 0
    assert found(partition, pairs) == keys(pairs)
    assert len(partition.part_names()) == 6


def test_of_two_merges_at_once_one_counts_and_the_other_leaves_nothing(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition.append(stored([(1, 1), (2, 1)]), "a")
    plain = layers._write_layer

    def overtaken(*given: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(layers, "_write_layer", plain)
            assert merge(partition)
        return plain(*given)

    with monkeypatch.context() as patch:
        patch.setattr(layers, "_write_layer", overtaken)
        assert not merge(partition)
    assert found(partition, [(1, 1), (2, 1)]) == keys([(1, 1), (2, 1)])
    assert len(storage.list_files(f"{partition.uri}/layers")) == 2
