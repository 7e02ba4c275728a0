"""Locations, atomic writes, and the publishing protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.io import storage
from lmtx_ray.io.locations import Location
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.io.table_writer import TableWriter
from tests.published import is_whole


def rows(*values: int) -> pa.Table:
    return pa.table({"id": list(values)})


@pytest.mark.parametrize(
    "uri",
    [
        "http://x/y",
        "s3://user:key@bucket/x",
        "s3://bucket?endpoint_override=169.254.169.254/x",
        "s3://bucket/a/./b",
        "s3://bucket/../other",
        "s3:///x",
        "gs://b/x",
        "s3:/bucket/x",
        "file:/x/y",
        "a\0b",
        "",
    ],
)
def test_a_uri_that_could_redirect_a_request_is_refused(uri: str) -> None:
    with pytest.raises(storage.StorageError):
        storage.parse_uri(uri)


def test_json_has_no_nan_and_no_infinity() -> None:
    value = {"a": [float("nan"), 1.5], "b": {"c": float("-inf")}}
    assert json.loads(storage.to_json(value), parse_constant=pytest.fail) == {
        "a": [None, 1.5],
        "b": {"c": None},
    }
    assert json_text({**value, "d": Decimal("1.5"), "e": b"\xff"}) == (
        '{"a": [null, 1.5], "b": {"c": null}, "d": "1.5", "e": "�"}'
    )


def test_a_key_of_any_signs_is_the_stores_own() -> None:
    for key in ("user@host.jsonl", "a?versionId=1", "#1", "a%20b c", "..x/y..", "é"):
        assert storage.parse_uri(f"s3://bucket/{key}") == Location("s3", "bucket", key)


def test_only_places_that_the_operator_allows_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMTX_S3_ALLOW", "s3://lake/in, s3://other")
    for uri in ("s3://lake/in", "s3://lake/in/a", "s3://other/x", "/local/path"):
        storage.parse_uri(uri)
    for uri in ("s3://lake/inner", "s3://lake", "s3://otherwise/x", "s3://secret/in"):
        with pytest.raises(storage.StorageError, match="LMTX_S3_ALLOW"):
            storage.parse_uri(uri)


def test_only_the_first_of_racing_writers_wins(tmp_path: Path) -> None:
    uri, won = str(tmp_path / "x"), []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        if storage.put_if_absent(uri, str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(won[0]).encode()] == [storage.read_bytes(uri)]
    assert len(won) == 1
    assert storage.list_files(str(tmp_path)) == [uri]


@pytest.mark.parametrize(
    "given", ["a", "./a", "a/", ".//a", "./a/.", ".", "{here}//a", "file://{here}/a/"]
)
def test_a_listing_begins_with_the_folder_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = given.format(here=tmp_path)
    for name in ("b/1.txt", "2.txt"):
        storage.write_bytes(str(tmp_path / "a" / name), b"x")
    inside = ["a/2.txt", "a/b/1.txt"] if given == "." else ["2.txt", "b/1.txt"]
    assert storage.list_files(folder) == [storage.join(folder, name) for name in inside]
    assert [storage.read_bytes(uri) for uri in storage.list_files(folder)] == [b"x"] * 2


def test_a_place_has_no_slash_at_its_end(tmp_path: Path) -> None:
    for place in (str(tmp_path), "s3://lake/run"):
        assert storage.absolute(f"{place}/") == place


def test_extension_types_are_refused_from_the_schema(tmp_path: Path) -> None:
    array = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))
    storage.write_table(str(tmp_path / "t.parquet"), pa.table({"id": array}))
    with pytest.raises(storage.StorageError, match="'id' has an extension type"):
        storage.read_table(str(tmp_path / "t.parquet"))


def test_a_second_attempt_at_a_unit_changes_nothing(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    first = step.commit_table("u", rows(1, 2), rows_in=2)
    assert step.commit_table("u", rows(3, 4), rows_in=2) == first
    step.publish(["u"], key="id")
    assert step.read()["id"].to_pylist() == [1, 2]


def test_a_draft_without_receipt_is_never_read(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    storage.write_table(str(tmp_path / "s/data/u-dead.parquet"), rows(9))
    assert step.done_units() == set()
    with pytest.raises(PublishError, match="units not done: u"):
        step.publish(["u"])
    step.commit_table("u", rows(1), rows_in=1)
    step.publish(["u"])
    assert step.read()["id"].to_pylist() == [1]


def test_lost_rows_and_repeated_ids_are_not_published(tmp_path: Path) -> None:
    lossy = Dataset(str(tmp_path / "lossy"), "f")
    lossy.commit_table("u", rows(1), rows_in=3, rejected=1)
    with pytest.raises(PublishError, match="read 3 rows but wrote 1 and rejected 1"):
        lossy.publish(["u"])
    twice = Dataset(str(tmp_path / "twice"), "f")
    twice.commit_table("u", rows(1), rows_in=1)
    twice.commit_table("v", rows(1), rows_in=1)
    with pytest.raises(PublishError, match="id 1 is there twice"):
        twice.publish(["u", "v"], key="id")


def test_a_unit_of_other_settings_is_no_unit_of_these(tmp_path: Path) -> None:
    uri = str(tmp_path / "out")
    Dataset(uri, "f").commit_table("u", rows(1), rows_in=1)
    other = Dataset(uri, "g")
    with pytest.raises(PublishError, match="unit u was written for other inputs or settings"):
        other.commit_table("u", rows(2), rows_in=1)
    with pytest.raises(PublishError, match="unit u was written for other inputs or settings"):
        other.publish(["u"])


def test_ids_of_one_hash_are_no_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmtx_ray.io.unique.key_hash", lambda value: 7)
    dataset = Dataset(str(tmp_path / "out"), "f")
    for unit, ids in (("u", (1, 2)), ("v", (3,)), ("w", (2,))):
        dataset.commit_table(unit, rows(*ids), rows_in=len(ids), key="id")
    with pytest.raises(PublishError, match="id 2 is there twice"):
        dataset.publish(["u", "v", "w"], key="id")
    assert dataset.publish(["u", "v"], key="id").rows() == 3


def test_a_file_that_is_gone_is_not_published(tmp_path: Path) -> None:
    dataset = Dataset(str(tmp_path / "out"), "f")
    gone = dataset.commit_table("u", rows(1), rows_in=1)
    dataset.commit_table("v", rows(2), rows_in=1)
    storage.remove_file(storage.join(dataset.uri, gone.file))
    with pytest.raises(PublishError, match=f"file .*{gone.file} is missing"):
        dataset.publish(["u", "v"])
    assert not dataset.is_complete()


@pytest.mark.parametrize(
    ("groups", "parts"),
    [
        ("", [2, 2, 2, 1]),
        ("abcdefg", [2, 2, 2, 1]),
        ("aaabbbc", [3, 3, 1]),
        ("abbbbbb", [7]),
        ("aabcccd", [2, 4, 1]),
        ("aaaaaab", [6, 1]),
    ],
)
def test_a_table_is_cut_where_no_group_is(tmp_path: Path, groups: str, parts: list[int]) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    step.publish_table(rows(*range(7)), rows=2, key="id", groups=groups)
    units = step.manifest().units
    assert [unit.rows_out for unit in units] == parts
    assert step.read()["id"].to_pylist() == list(range(7))
    assert step.rows() == 7


def test_a_table_cut_otherwise_after_a_kill_does_not_mix_with_what_is_there(
    tmp_path: Path,
) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    step.commit_table("00000-2", rows(0, 1), rows_in=2)
    step.publish_table(rows(*range(5)), rows=3, key="id")
    assert list(step.unit_files()) == ["00000-3", "00001-3"]
    assert step.read()["id"].to_pylist() == list(range(5))
    empty = Dataset(str(tmp_path / "e"), "f")
    empty.publish_table(rows().cast(pa.schema([("id", pa.int64())])), rows=3, key="id")
    assert empty.read().num_rows == 0


def test_publishing_twice_is_fine_and_another_identity_is_refused(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    step.commit_table("u", rows(1), rows_in=1)
    assert step.publish(["u"]) == step.publish(["u"])
    with pytest.raises(PublishError, match="other inputs or settings"):
        Dataset(str(tmp_path / "s"), "g").is_complete()


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "s"), "f")
    step.publish_folder(lambda folder: (folder / "a.txt").write_text("one"))
    step.download(tmp_path / "copy")
    Path(step.folder(), "a.txt").write_text("two")
    with pytest.raises(PublishError, match=r"a\.txt is not the file"):
        step.download(tmp_path / "copy")


def test_an_empty_folder_is_not_published(tmp_path: Path) -> None:
    step = Dataset(str(tmp_path / "model"), "m")
    with pytest.raises(PublishError, match="no file to publish"):
        step.publish_folder(lambda folder: None)
    assert not step.is_complete()


def test_a_folder_is_published_whole_even_while_its_process_exits(tmp_path: Path) -> None:
    """A thread that outlives the main thread must not find its files cleaned away."""
    script = f"""
import threading, time
from pathlib import Path
from lmtx_ray.io.locations import Location
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.publish import Dataset

def save(folder):
    (folder / "weights").write_bytes(b"w")
    time.sleep(1.0)
    assert (folder / "weights").exists()

def work():
    Dataset({str(tmp_path / "out")!r}, "f").publish_folder(save)

threading.Thread(target=work).start()
import weakref
time.sleep(0.3)
[finalizer() for finalizer in list(weakref.finalize._registry)]  # what an exit runs first
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert is_whole(Dataset(str(tmp_path / "out"), "f"))


def test_long_rows_wait_for_no_thousand_others(tmp_path: Path) -> None:
    tables = [pa.table({"n": [n], "text": ["x" * (1 << 20)]}) for n in range(80)]
    with (tmp_path / "a.parquet").open("wb") as file:
        writer = TableWriter(file)
        for table in tables:
            writer.write(table)
        writer.close()
    written = pq.ParquetFile(tmp_path / "a.parquet")
    assert written.read() == pa.concat_tables(tables)
    sizes = [written.metadata.row_group(n).num_rows for n in range(written.num_row_groups)]
    assert max(sizes) <= 32
