"""Plain label files are read by columns, and to the same table as row after row."""

from __future__ import annotations

from pathlib import Path

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
