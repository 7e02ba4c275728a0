"""`lmtx tag --pass-through` copies columns of every kind, whatever their values."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.batch.outputs import read_rejects, read_tags
from lmtx_ray.cli.main import main
from lmtx_ray.io.receipts import PublishError
from tests.tiny import TOPICS

COLUMNS = {
    "empty list first": pa.array([[], ["a"], None], pa.list_(pa.string())),
    "null list first": pa.array([None, [1], []], pa.list_(pa.int64())),
    "nested": pa.array([[], [{"a": [1]}], None]),
    "struct": pa.array([None, {"a": []}, {"a": None}], pa.struct([("a", pa.list_(pa.int8()))])),
    "map": pa.array([[], [("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "fixed list": pa.array([None, [1, 2], [3, 4]], pa.list_(pa.int32(), 2)),
    "false first": pa.array([False, True, None]),
    "zero first": pa.array([0, 1, None]),
    "dictionary": pa.array([None, "a", "b"]).dictionary_encode(),
    "nanoseconds": pa.array([None, 1, 2], pa.timestamp("ns")),
    "nulls": pa.nulls(3),
    "text view": pa.array(["a", None, "x" * 99], pa.string_view()),
    "bytes view": pa.array([b"a", None, b"\xff"], pa.binary_view()),
}


def rows(count: int = 3) -> pa.Table:
    texts = [f"{TOPICS[n]} disease" for n in range(count)]
    return pa.table({"id": [f"d{n}" for n in range(count)], "text": texts})


def tag(bundle: str, source: Path, output: Path, *more: str) -> pa.Table:
    arguments = ["--bundle", bundle, "--input", str(source), "--output", str(output), *more]
    assert main(["tag", *arguments]) == 0
    return read_tags(str(output))


def test_values_of_every_type_are_copied_from_parquet(bundle: str, tmp_path: Path) -> None:
    table = rows()
    for name, column in COLUMNS.items():
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "in.parquet")
    names = ",".join(COLUMNS)
    tags = tag(bundle, tmp_path / "in.parquet", tmp_path / "out", "--pass-through", names)
    for name, column in COLUMNS.items():
        assert tags[name].combine_chunks().to_pylist() == column.to_pylist(), name
        assert tags[name].type == column.type


def test_values_of_every_type_are_copied_to_each_tag(bundle: str, tmp_path: Path) -> None:
    table = rows()
    for name, column in COLUMNS.items():
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "in.parquet")
    source, output = str(tmp_path / "in.parquet"), tmp_path / "out.parquet"
    options = ["--pass-through", ",".join(COLUMNS), "--long", "--top-k", "2"]
    named = ["--bundle", bundle, "--input", source, "--output", str(output)]
    assert main(["tag", *named, *options]) == 0
    long = pq.read_table(output)
    for name, column in COLUMNS.items():
        twice = [value for value in column.to_pylist() for _ in range(2)]
        assert long[name].to_pylist() == twice, name


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_empty_lists_are_copied_to_text_formats(bundle: str, tmp_path: Path, kind: str) -> None:
    table = rows().append_column("note", COLUMNS["empty list first"])
    pq.write_table(table, tmp_path / "in.parquet")
    more = ("--pass-through", "note", "--output-format", kind)
    notes = tag(bundle, tmp_path / "in.parquet", tmp_path / "out", *more)["note"].to_pylist()
    notes = notes if kind == "jsonl" else [json.loads(note) if note else None for note in notes]
    assert notes == [[], ["a"], None]


def test_parquet_and_text_in_one_unit_share_a_column(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("id,text,year\nc1,lung pain,\nc2,eye pain,2002\n")
    pq.write_table(rows(2).append_column("year", pa.array([1, None])), tmp_path / "in/b.parquet")
    tags = tag(bundle, tmp_path / "in", tmp_path / "out", "--pass-through", "year")
    assert tags["year"].to_pylist() == [None, 2002, 1, None]


@pytest.mark.parametrize("unit_bytes", ["1", "9999999"])
@pytest.mark.parametrize(
    ("values", "back"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ([{"a": 1}, {"b": ["x"]}], [{"a": 1, "b": None}, {"a": None, "b": ["x"]}]),
        ([10**29, 1], [str(10**29), "1"]),
        ([[1, "a"], []], ['[1, "a"]', "[]"]),
        ([{"a": 1}, {"a": "x"}], ['{"a": 1}', '{"a": "x"}']),
        (["x", 1], ["x", "1"]),
    ],
)
def test_any_json_in_a_jsonl_output_is_read_back(
    bundle: str, tmp_path: Path, values: list, back: list, unit_bytes: str
) -> None:
    for place, value in enumerate(values):
        row = {"id": f"d{place}", "text": "heart", "note": value}
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"in/{place}.jsonl").write_text(json.dumps(row))
    more = ("--pass-through", "note", "--output-format", "jsonl", "--unit-bytes", unit_bytes)
    assert tag(bundle, tmp_path / "in", tmp_path / "out", *more)["note"].to_pylist() == back


def test_tags_whose_column_has_two_types_say_so(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(rows(1).append_column("note", pa.array([1])), tmp_path / "in/0.parquet")
    (tmp_path / "in/1.jsonl").write_text('{"id": "x", "text": "heart", "note": "y"}')
    more = ("--pass-through", "note", "--unit-bytes", "1")
    with pytest.raises(PublishError, match=r"out: .*'?note'?.* outputs of their own"):
        tag(bundle, tmp_path / "in", tmp_path / "out", *more)


NULLS = {
    "text": (pa.nulls(1), pa.array(["hello"])),
    "list": (pa.array([[]], pa.list_(pa.null())), pa.array([["a"]])),
    "struct": (pa.array([{"a": None}], pa.struct({"a": pa.null()})), pa.array([{"a": "x"}])),
}


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("unit_bytes", ["1", "9999999"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_column_of_nulls_fits_any_other_in_whatever_order(
    bundle: str, tmp_path: Path, name: str, unit_bytes: str, order: int
) -> None:
    (tmp_path / "in").mkdir()
    columns = NULLS[name][::order]
    for place, column in enumerate(columns):
        table = rows(2).slice(place, 1).append_column("note", column)
        pq.write_table(table, tmp_path / f"in/{place}.parquet")
    more = ("--pass-through", "note", "--unit-bytes", unit_bytes)
    expected = [column.to_pylist()[0] for column in columns]
    tags = tag(bundle, tmp_path / "in", tmp_path / "out", *more)
    assert tags["note"].to_pylist() == expected
    arguments = ["--bundle", bundle, "--input", f"{tmp_path}/in", *more]
    assert main(["tag", *arguments, "--output", f"{tmp_path}/tags.parquet"]) == 0
    assert pq.read_table(tmp_path / "tags.parquet")["note"].to_pylist() == expected


def test_a_first_file_without_a_good_row_does_not_say_what_a_column_is(
    bundle: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.jsonl").write_text('{"id": "", "text": "heart", "year": "?"}\n')
    pq.write_table(rows(2).append_column("year", pa.array([1, 2])), tmp_path / "in/1.parquet")
    arguments = ["--bundle", bundle, "--input", f"{tmp_path}/in", "--pass-through", "year"]
    arguments += ["--output", f"{tmp_path}/tags.parquet", "--unit-bytes", "1"]
    assert main(["tag", *arguments]) == 0
    assert pq.read_table(tmp_path / "tags.parquet")["year"].to_pylist() == [1, 2]


def test_the_fields_of_the_document_itself_may_be_copied(bundle: str, tmp_path: Path) -> None:
    table = rows().append_column("mine", pa.array([["L1"], [], None], pa.list_(pa.string())))
    pq.write_table(table, tmp_path / "in.parquet")
    more = ("--pass-through", "text,id,mine", "--keep-field", "mine")
    tags = tag(bundle, tmp_path / "in.parquet", tmp_path / "out", *more)
    assert (
        tags.select(["text", "id", "mine"]).to_pydict()
        == table.select(["text", "id", "mine"]).to_pydict()
    )
    assert tags["label_keys"].to_pylist()[0][0] == "L1"
    assert read_rejects(str(tmp_path / "out")).num_rows == 0


@pytest.mark.parametrize("text", ["one\rtwo", "a\r\nb", "é\u2028x", 'say "hi"', "x" * 200_000])
def test_csv_gives_back_any_text_also_after_duplicates_are_dropped(
    bundle: str, tmp_path: Path, text: str
) -> None:
    (tmp_path / "in").mkdir()
    note = [{"id": f"d{n}", "text": "heart", "note": text} for n in (0, 1, 0)]
    for place, row in enumerate(note):  # files of their own: the last one is dropped afterwards
        (tmp_path / f"in/{place}.jsonl").write_text(json.dumps(row))
    more = ("--pass-through", "note", "--output-format", "csv")
    more = (*more, "--unit-bytes", str(len(text) + 60))
    tags = tag(bundle, tmp_path / "in", tmp_path / "out", *more)
    assert tags["note"].to_pylist() == [text] * 2
    assert read_rejects(str(tmp_path / "out")).num_rows == 1


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_what_is_no_number_is_null_where_json_is_written(
    bundle: str, tmp_path: Path, kind: str
) -> None:
    nan, inf = float("nan"), float("inf")
    table = rows().append_column("score", pa.array([nan, inf, 0.5]))
    table = table.append_column("deep", pa.array([[nan], [-inf], [1.0]]))
    pq.write_table(table, tmp_path / "in.parquet")
    more = ("--pass-through", "score,deep", "--output-format", kind)
    tags = tag(bundle, tmp_path / "in.parquet", tmp_path / "out", *more)
    if kind == "parquet":  # which has them
        assert str(tags["score"].to_pylist()) == "[nan, inf, 0.5]"
        return
    lines = [line for path in (tmp_path / "out/data").iterdir() for line in path.open()]
    assert not [line for line in lines if "NaN" in line or "Infinity" in line]
    expected = [None, None, 0.5] if kind == "jsonl" else ["", "", "0.5"]
    assert tags["score"].to_pylist() == expected
    deep = tags["deep"].to_pylist()
    assert (deep if kind == "jsonl" else list(map(json.loads, deep))) == [[None], [None], [1.0]]


@pytest.mark.parametrize("name", ["p.parquet", "p.jsonl", "p.csv"])
def test_columns_that_only_folders_hold_are_copied(bundle: str, tmp_path: Path, name: str) -> None:
    for n, day in enumerate(["2024-01-01", "__HIVE_DEFAULT_PARTITION__", "a%2Fb"]):
        folder = tmp_path / f"lake/dt={day}"
        folder.mkdir(parents=True)
        row = rows(3).slice(n, 1)
        if name == "p.parquet":
            pq.write_table(row, folder / name)
        elif name == "p.jsonl":
            (folder / name).write_text(json.dumps(row.to_pylist()[0]))
        else:
            (folder / name).write_text(
                "\n".join(
                    map(",".join, [["id", "text"], *zip(*row.to_pydict().values(), strict=True)])
                )
            )
    tags = tag(bundle, tmp_path / "lake", tmp_path / "out", "--pass-through", "dt")
    found = dict(zip(tags["doc_id"].to_pylist(), tags["dt"].to_pylist(), strict=True))
    assert found == {"d0": "2024-01-01", "d1": None, "d2": "a/b"}
