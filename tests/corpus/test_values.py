"""Ids and texts of typed columns, and columns that nobody asked for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.documents import to_document
from lmtx_ray.corpus.fitting import check_corpus, check_titles
from lmtx_ray.corpus.lines import BadRow, CorpusError
from lmtx_ray.corpus.text_keys import is_blank
from lmtx_ray.corpus.values import id_text
from tests.corpus.test_files import read


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (b"caf\xc3\xa9", "café"),
        (7, "7"),
        (2**64 - 1, "18446744073709551615"),
        (7.0, "7"),
        (-0.0, "0"),
        (Decimal("7"), "7"),
        (Decimal("7.00"), "7"),
        (Decimal("7.50"), "7.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal(10**37), "1" + "0" * 37),
    ],
)
def test_ids_are_texts_by_one_rule(value: object, text: str) -> None:
    assert id_text(value) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7.5, "is float 7.5, not text or a whole number"),
        (1e17, "is float 1e+17"),
        (float("inf"), "is float inf"),
        (True, "is bool"),
        (b"\xff", "is bytes that are not UTF-8 (at byte 0)"),
        (datetime(2024, 1, 1), "is datetime"),
    ],
)
def test_what_is_surely_no_id_is_a_reject_that_says_so(value: object, said: str) -> None:
    bad = to_document({"id": value, "text": "x"}, ColumnMap())
    assert isinstance(bad, BadRow)
    assert bad.reason.startswith(f"field 'id' {said}")


def test_typed_columns_of_parquet_are_read(tmp_path: Path) -> None:
    table = {
        "id": pa.array([Decimal(1), None], pa.decimal128(38, 0)),
        "text": pa.array([b"pots", b"pans"], pa.binary()),
        "modified": pa.array([2**60, 0], pa.timestamp("us")),  # beyond year 9999
        "score": [float("nan")] * 2,
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    good, bad = read(tmp_path / "a.parquet")
    assert good == [{"doc_id": "1", "title": None, "text": "pots"}]
    assert bad == [("a.parquet", 2, "field 'id' is empty")]


def test_a_missing_value_is_null_and_names_its_own_field() -> None:
    nan = float("nan")
    row = {"id": 1, "title": nan, "text": "pots"}
    assert to_document(row, ColumnMap()) == {"doc_id": "1", "title": None, "text": "pots"}
    assert to_document({"id": 1, "text": nan}, ColumnMap()).reason == "field 'text' is empty"
    assert to_document({"id": nan, "text": "x"}, ColumnMap()).reason == "field 'id' is empty"
    assert to_document({"id": 1, "text": None}, ColumnMap()).raw == '{"id": 1, "text": null}'


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u200b", "\ufeff\x01 \u00ad"])
def test_a_text_that_shows_nothing_is_empty(text: str) -> None:
    assert is_blank(text)
    assert to_document({"id": 1, "text": text}, ColumnMap()).reason == "empty text"
    assert not is_blank(f"{text}x{text}")


@pytest.mark.parametrize(
    "row",
    [
        {"id": "7", "title": "T", "content": "", "text": "pots"},
        {"id": "7", "title": "T", "content": " \u200b", "text": b"pots"},
        {"uid": "", "doc_id": b"", "id": 7, "title": "T", "content": "pots"},
        {"uid": None, "id": "7", "title": "T", "text": "pots", "content": float("nan")},
    ],
)
def test_of_several_usual_names_the_first_that_holds_something_counts(row: dict) -> None:
    document = {"doc_id": "7", "title": "T", "text": "pots"}
    assert to_document(row, ColumnMap()) == document


def test_where_all_usual_names_are_empty_the_first_is_named() -> None:
    assert to_document({"uid": "", "id": "", "text": "x"}, ColumnMap()).reason == (
        "field 'uid' is empty"
    )
    assert to_document({"id": "7", "content": "", "text": None}, ColumnMap()).reason == "empty text"
    named = to_document({"id": "7", "content": "", "text": "x"}, ColumnMap(text="content"))
    assert named.reason == "empty text"


def test_a_check_of_the_columns_takes_what_a_run_takes(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,text,note,note\n1,pots,a,b\n")
    (tmp_path / "l.csv").write_text("id,name,x,x\n1,pots,a,b\n")
    config = CorpusConfig(documents=(f"{tmp_path}/d.csv",), labels=f"{tmp_path}/l.csv")
    check_corpus(config)
    assert count_corpus(config.model_copy(update={"held_aside": 0})).documents == 1
    (tmp_path / "d.csv").write_text("id,body\n1,pots\n")
    with pytest.raises(CorpusError, match=r"corpus\.documents: .*set corpus\.columns\.text"):
        check_corpus(config)


def test_plain_texts_without_columns_are_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("pots and pans")
    (tmp_path / "l.txt").write_text("pots\npans\n")
    config = CorpusConfig(documents=(f"{tmp_path}/d.txt",), labels=f"{tmp_path}/l.txt")
    with pytest.raises(CorpusError, match=r"l\.txt is plain text; .*`lmtx labels import`"):
        check_corpus(config)
    with pytest.raises(CorpusError, match=r"plain text has no titles; take source: segment"):
        check_titles(config)
