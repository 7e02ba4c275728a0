"""CSV as offices write it: semicolons, and lines that are not UTF-8."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.corpus.counting import count_corpus, first_documents
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.readers import How, read_rows
from tests.own_files import write_csv, write_documents, write_tags

COLUMNS = {
    "doc_id": "Nr.",
    "title": "Überschrift",
    "text": "Beschreibung",
    "label_key": "Tag-ID",
    "label_text": "Bezeichnung",
}


def config(folder: Path, **more: object) -> CorpusConfig:
    values = {
        "documents": str(folder / "docs.csv"),
        "labels": str(folder / "tags.csv"),
        "columns": COLUMNS,
        **more,
    }
    return load_config(CorpusConfig, values)


def test_semicolons_and_an_older_encoding_lose_nothing(tmp_path: Path) -> None:
    write_documents(tmp_path / "docs.csv", encoding="cp1252", delimiter=";")
    write_tags(tmp_path / "tags.csv", encoding="utf-8-sig", delimiter=";")
    read = config(tmp_path, encoding="cp1252")
    counts = count_corpus(read)
    assert (counts.documents, counts.labels, counts.rejects) == (40, 40, 0)
    assert counts.held_aside == 8
    assert first_documents(read, 1)["title"].to_pylist() == ["A study of heart disease"]
    assert next(label_tables(read, 99))["text"][0].as_py() == "heart disease"


def test_lines_of_utf_8_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_bytes("id,text\n1,Ärzte\n".encode() + "2,Ärzte\n".encode("cp1252"))
    rows = [row for _, row in read_rows(str(path), "csv", how=How(encoding="cp1252"))]
    assert [row["text"] for row in rows] == ["Ärzte", "Ärzte"]


@pytest.mark.parametrize("encoding", ["iso2022_jp", "utf-7", "shift_jis"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_an_encoding_whose_letters_are_ascii_is_read_as_what_it_is(
    tmp_path: Path, encoding: str, name: str
) -> None:
    texts = {"a.csv": "id,text\n1,日本\n", "a.jsonl": '{"id": "1", "text": "日本"}\n'}
    texts["a.json"] = f"[{texts['a.jsonl']}]"
    (tmp_path / name).write_bytes(texts[name].encode(encoding))
    kind = "csv" if name == "a.csv" else "jsonl"
    rows = [row for _, row in read_rows(str(tmp_path / name), kind, how=How(encoding=encoding))]
    assert rows == [{"id": "1", "text": "日本"}]


def test_without_the_setting_such_a_line_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_bytes(b"id,text\n1,fine\n" + "2,Ärzte\n".encode("cp1252"))
    _, bad = (row for _, row in read_rows(str(path), "csv"))
    assert isinstance(bad, BadRow)
    assert "invalid UTF-8" in bad.reason


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_header_tells_the_delimiter_and_fields_may_hold_commas(
    tmp_path: Path, delimiter: str
) -> None:
    path = write_csv(tmp_path / "a.csv", ["id", "text"], [["1", 'a, "b"; c']], delimiter=delimiter)
    assert [row for _, row in read_rows(str(path), "csv")] == [{"id": "1", "text": 'a, "b"; c'}]


def test_a_comma_that_cuts_as_well_is_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text;more\n1,a;b\n")
    assert [row for _, row in read_rows(str(path), "csv")] == [{"id": "1", "text;more": "a;b"}]


@pytest.mark.parametrize("encoding", ["nonsense", "base64"])
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ConfigError, match="encoding"):
        config(tmp_path, encoding=encoding)
