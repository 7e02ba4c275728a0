"""What is known only when all units are done: row numbers in cut files, and repeated ids."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.batch.outputs import published_files, read_rejects, read_tags
from lmtx_ray.io import storage
from tests.batch.tagging import document, ids, lines, tag


def test_big_files_are_cut_and_rows_keep_their_numbers(bundle, place, capsys) -> None:
    rows = [document(n) for n in range(60)]
    bad = b'{"id": "x"\n'
    storage.write_bytes(f"{place}/in/a.jsonl", lines(*rows[:30]) + b"\n" + bad + lines(rows[3]))
    table = pa.Table.from_pylist([*rows[30:], {**rows[0], "text": None, "title": None}])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=7)
    storage.write_bytes(f"{place}/in/b.parquet", sink.getvalue().to_pybytes())
    assert tag(bundle, f"{place}/in", f"{place}/out", "--unit-bytes", "400") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["units"] > 8
    assert (result["documents"], result["rejects"]) == (60, 3)
    assert ids(f"{place}/out") == [f"d{n}" for n in range(60)]
    rejects = [
        (row["source"].rsplit("/", 1)[1], row["position"], row["reason"])
        for row in read_rejects(f"{place}/out").to_pylist()
    ]
    assert rejects[0][:2] == ("a.jsonl", 32)
    assert rejects[1] == ("a.jsonl", 33, f"duplicate id 'd3', first in {place}/in/a.jsonl row 4")
    assert rejects[2][:2] == ("b.parquet", 31)


def test_rejects_of_a_cut_file_are_numbered_without_writing_its_tags_again(bundle, place) -> None:
    rows = lines(*(document(n) for n in range(20)))
    storage.write_bytes(f"{place}/in.jsonl", rows + b"{bad\n" + lines(document(20)))
    assert tag(bundle, f"{place}/in.jsonl", f"{place}/out", "--unit-bytes", "400") == 0
    assert read_rejects(f"{place}/out")["position"].to_pylist() == [21]
    assert ids(f"{place}/out") == [f"d{n}" for n in range(21)]
    names = [uri.rsplit("/", 1)[1] for uri in storage.list_files(f"{place}/out/data")]
    assert len(names) > 2
    assert not [name for name in names if "-settled-" in name]
    (settled,) = published_files(f"{place}/out", "rejects")
    assert "-settled-" in settled


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_duplicates_across_units_keep_the_first_in_every_format(bundle, tmp_path, kind) -> None:
    (tmp_path / "in").mkdir()
    for name, numbers in {"a": (0, 1), "b": (1, 2, 0), "c": (2, 3, 3)}.items():
        (tmp_path / f"in/{name}.jsonl").write_bytes(
            lines(*(document(n, note={"from": name}) for n in numbers))
        )
    out = str(tmp_path / "out")
    options = ["--unit-bytes", "10", "--output-format", kind, "--pass-through", "note"]
    assert tag(bundle, str(tmp_path / "in"), out, *options) == 0
    table = read_tags(out)
    assert table["doc_id"].to_pylist() == ["d0", "d1", "d2", "d3"]
    assert all(len(row) == 5 for row in table["label_keys"].to_pylist())
    notes = [
        note if isinstance(note, dict) else json.loads(note) for note in table["note"].to_pylist()
    ]
    assert notes == [{"from": name} for name in "aabc"]
    rejects = read_rejects(out)
    assert rejects["reason"].to_pylist() == [
        f"duplicate id {key!r}, first in {tmp_path}/in/{name}.jsonl row {row}"
        for key, name, row in (("d1", "a", 2), ("d0", "a", 1), ("d2", "b", 2), ("d3", "c", 2))
    ]
    assert rejects["position"].to_pylist() == [1, 3, 1, 3]


def test_an_id_is_found_again_by_a_later_generation_behind_a_row_that_was_dropped(
    bundle, tmp_path
) -> None:
    (tmp_path / "in").mkdir()
    out = str(tmp_path / "out")
    for name, numbers in {"a": (0, 0, 1, 2), "b": (1, 3, 2)}.items():
        (tmp_path / f"in/{name}.jsonl").write_bytes(lines(*map(document, numbers)))
        assert tag(bundle, str(tmp_path / "in"), out, "--append-new") == 0
    assert ids(out) == ["d0", "d1", "d2", "d3"]
    assert read_rejects(out)["reason"].to_pylist() == [
        f"duplicate id {key!r}, first in {tmp_path}/in/a.jsonl row {row}"
        for key, row in (("d0", 1), ("d1", 3), ("d2", 4))
    ]
