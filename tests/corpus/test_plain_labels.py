"""Plain label files are read by columns, and to the same table as row after row."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.plain_labels import plain_labels

HEAD = "key,text,description,aliases,parent_keys\n"
PIECES = 'a|b|c|é|e\u0301|  | |\t|\u00a0|\u200b|\\|心|,|\r|\n|\x0b|"|\ufeff|\u2028|x y|\0'.split(
    "|"
)
PIECES += ["|", "b|c", ""]


def config_of(path: Path, **more: object) -> CorpusConfig:
    return CorpusConfig(documents=(str(path),), labels=str(path), **more)


def slowly(config: CorpusConfig) -> pa.Table | None:
    try:
        return pa.concat_tables(label_tables(config, 1000))
    except CorpusError:
        return None


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14), max_size=4))
def test_whatever_is_in_a_file_both_ways_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    text = HEAD + "".join("".join(row) + "\n" for row in rows)
    path.write_text("K0,some text,,,\n" if not rows else text, encoding="utf-8", newline="")
    found = plain_labels(config_of(path))
    if found is not None:
        other = slowly(config_of(path))
        assert other is not None
        assert found.equals(other)


CELL = st.lists(st.sampled_from(["a", "b c", "é", "心臓", "d|e"]), min_size=1, max_size=2)


@settings(deadline=None, max_examples=60)
@given(st.lists(CELL.map(" ".join), min_size=1, max_size=5), st.sampled_from([",", ";", "\t"]))
def test_plain_files_are_read_by_columns(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str
) -> None:
    path = tmp_path_factory.getbasetemp() / ("a.tsv" if delimiter == "\t" else "a.csv")
    rows = [("Key", "text", "aliases"), *((f"K{n}", text, text) for n, text in enumerate(texts))]
    path.write_text("".join(f"{delimiter.join(row)}\r\n" for row in rows), encoding="utf-8-sig")
    found = plain_labels(config_of(path))
    assert found is not None
    assert found.equals(slowly(config_of(path)))


def test_so_are_parquet_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "name": ["one", "two"], "n": [1, 2]}), path)
    found = plain_labels(config_of(path))
    assert found is not None
    assert found.equals(slowly(config_of(path)))
    pq.write_table(pa.table({"id": [1, 2], "name": ["one", "two"]}), path)
    assert plain_labels(config_of(path)) is None
    pq.write_table(pa.table({"id": pa.array([], pa.string()), "name": []}), path)
    assert plain_labels(config_of(path)) is None


@pytest.mark.parametrize("names", ["parent_keys,parents", "Parents,Parents"])
def test_of_two_columns_each_row_takes_what_it_has(tmp_path: Path, names: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"key,text,{names}\na,one,,b\nb,two,a,\n")
    found = plain_labels(config_of(path))
    assert found is None or found.equals(slowly(config_of(path)))


@pytest.mark.parametrize("column", ["id", "name", "description", "aliases", "parent_keys"])
@pytest.mark.parametrize("odd", [b"a\0b", b"a\xffb"])
def test_what_no_row_may_hold_is_left_to_who_names_it(
    tmp_path: Path, column: str, odd: bytes
) -> None:
    names = ("id", "name", "description", "aliases", "parent_keys")
    table = {name: pa.array(["a", "b"]) for name in names}
    offsets = pa.array([0, 1, 1 + len(odd)], pa.int32()).buffers()[1]
    table[column] = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a" + odd)])
    pq.write_table(pa.table(table), tmp_path / "labels.parquet")
    assert plain_labels(config_of(tmp_path / "labels.parquet")) is None


class Told(pa.ExtensionType):
    """A type that tells when a file makes one of it."""

    made: ClassVar[list[bytes]] = []

    def __init__(self) -> None:
        super().__init__(pa.string(), "told")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Told:
        cls.made.append(serialized)
        return cls()


@pytest.mark.parametrize("more", [0, 68, 76, 92, 107, 150])
def test_no_code_of_an_extension_type_runs_however_long_the_schema_is(
    tmp_path: Path, more: int
) -> None:
    path = tmp_path / "labels.parquet"
    extra = pa.ExtensionArray.from_storage(Told(), pa.array(["x"]))
    table = {"id": ["a"], "name": ["one"], "extra": extra}
    pq.write_table(pa.table(table | {f"column_{n}": ["x"] for n in range(more)}), path)
    pa.register_extension_type(Told())
    Told.made.clear()
    try:
        assert plain_labels(config_of(path)) is None
    finally:
        pa.unregister_extension_type("told")
    assert not Told.made


@pytest.mark.parametrize(
    "text",
    ["key,text\na,one\na,two\n", "key,text\na,\n", "key,text\na\n", "key,text\n", "k,t\na,b\n"],
)
def test_what_is_wrong_is_left_to_who_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    assert plain_labels(config_of(path)) is None


def test_columns_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("code,key,words\n1,x,one\n2,y,two\n")
    found = plain_labels(config_of(path, columns=ColumnMap(label_key="code", label_text="words")))
    assert found is not None
    assert found["label_key"].to_pylist() == ["1", "2"]
