"""A first look: format, encoding, delimiter and columns of files nobody has described."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.corpus.guessing import NoColumn, guess_documents, guess_labels
from lmtx_ray.corpus.language_guess import language_of, languages_of
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.looking import encoding_at, encoding_of, look
from tests.own_files import write_csv, write_documents, write_tags

PROSE = "A text of several sentences. It goes on for a while, and says what it is about. "


@pytest.mark.parametrize(
    ("encoding", "delimiter", "seen"),
    [
        ("utf-8", ",", "utf-8"),
        ("utf-8-sig", ";", "utf-8-sig"),
        ("cp1252", ";", "cp1252"),
        ("utf-8", "\t", "utf-8"),
        ("utf-8", "|", "utf-8"),
    ],
)
def test_a_csv_tells_encoding_delimiter_and_columns(
    tmp_path: Path, encoding: str, delimiter: str, seen: str
) -> None:
    path = write_documents(tmp_path / "a.csv", encoding=encoding, delimiter=delimiter)
    found = look([str(path)])
    assert (found.kind, found.encoding, found.delimiter) == ("csv", seen, delimiter)
    assert found.columns == ("Nr.", "Überschrift", "Beschreibung")
    assert len(found.rows) == 40
    assert not found.cut
    columns = {"doc_id": "Nr.", "title": "Überschrift", "text": "Beschreibung"}
    assert guess_documents(found) == columns


@pytest.mark.parametrize("end", ["", "\n", "s\n", "s\r\n"])
def test_one_sign_at_the_very_end_tells_an_older_encoding(tmp_path: Path, end: str) -> None:
    (tmp_path / "t.csv").write_bytes(f"uid,title\n1,Dog\n2,Café{end}".encode("cp1252"))
    found = look([str(tmp_path / "t.csv")])
    assert (found.encoding, found.rows[1]["title"]) == ("cp1252", "Café" + end.strip())
    assert encoding_at(str(tmp_path / "t.csv")) == "cp1252"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_that_is_cut_is_no_sign_of_an_older_encoding(cut: int) -> None:
    assert encoding_of("Dog 𝔸".encode()[:-cut], whole=False) == "utf-8"
    assert encoding_of("Bär 𝔸".encode()[:-cut], whole=True) == "utf-8"


def test_labels_have_a_key_and_a_text(tmp_path: Path) -> None:
    found = look([str(write_tags(tmp_path / "tags.csv"))])
    assert guess_labels(found) == {"label_key": "Tag-ID", "label_text": "Bezeichnung"}


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (["tag"], ["heart {n}"], ("tag", "tag")),
        (["code", "name", "description"], ["C{n}", "heart {n}", PROSE], ("code", "name")),
        (["a", "b"], ["K{n}", "a disease of the {n}"], ("a", "b")),
        (["label", "count"], ["heart {n}", "7"], ("label", "label")),
    ],
)
def test_columns_of_labels_by_name_and_content(
    tmp_path: Path, header: list[str], row: list[str], expected: tuple[str, str]
) -> None:
    rows = [[cell.format(n=n) for cell in row] for n in range(9)]
    found = guess_labels(look([str(write_csv(tmp_path / "t.csv", header, rows))]))
    assert (found["label_key"], found["label_text"]) == expected


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (["uid", "title", "content"], ["d{n}", "Title {n}", PROSE], ("uid", "title", "content")),
        (["x", "y"], ["d{n}", PROSE], ("x", None, "y")),
        (["date", "pmid", "abstract"], ["2020", "{n}", PROSE], ("pmid", None, "abstract")),
        (["id", "subject"], ["{n}", "A short subject {n}"], ("id", None, "subject")),
        (["uid", "article_id", "foo"], ["{n}", "7", PROSE], ("uid", None, "foo")),
        (["ID", "Article Text"], ["{n}", PROSE], ("ID", None, "Article Text")),
    ],
)
def test_columns_of_documents_by_name_and_content(
    tmp_path: Path, header: list[str], row: list[str], expected: tuple[str, str | None, str]
) -> None:
    rows = [[cell.format(n=n) for cell in row] for n in range(9)]
    found = guess_documents(look([str(write_csv(tmp_path / "t.csv", header, rows))]))
    assert (found["doc_id"], found.get("title"), found["text"]) == expected


def test_documents_that_nothing_tells_apart_name_the_setting(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ["kind", "body"], [["a", PROSE]] * 5)
    with pytest.raises(NoColumn, match=r"set corpus\.columns\.doc_id; it has kind, body"):
        guess_documents(look([str(path)]))


def test_parquet_and_json_lines_and_compression(tmp_path: Path) -> None:
    rows = [{"id": f"d{n}", "text": PROSE} for n in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows, indent=1))
    for name, kind in (("a.parquet", "parquet"), ("b.jsonl.gz", "jsonl"), ("c.json", "jsonl")):
        found = look([str(tmp_path / name)])
        assert (found.kind, found.columns) == (kind, ("id", "text"))
        assert guess_documents(found) == {"doc_id": "id", "text": "text"}


def test_a_line_ends_where_the_readers_end_it(tmp_path: Path) -> None:
    text = f"one\u2028two\x85three\x0b {PROSE}"
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "a", "text": text}, ensure_ascii=False))
    (tmp_path / "b.raw.txt").write_bytes(f"{text}\r\n\nlast\n".encode())
    assert look([str(tmp_path / "a.jsonl")]).values("text") == [text]
    assert look([str(tmp_path / "b.raw.txt")]).values("text") == [text, "", "last"]


def test_what_no_python_value_can_hold_hides_no_row_of_parquet(tmp_path: Path) -> None:
    late = pa.array([2**62, 0], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["a", "b"], "when": late}), tmp_path / "a.parquet")
    assert look([str(tmp_path / "a.parquet")]).values("id") == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"id,text\n", "no row"),
        ("a.json", b"[1, 2]", "no row"),
        ("a.docx", b"PK", "cannot tell the format"),
        ("a.parquet", b"no parquet", "not a readable Parquet file"),
        ("a.csv.gz", b"no gzip", "damaged compressed file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message) as raised:
        look([str(tmp_path / name)])
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The results of this study were found to be of use for patients.", "English"),
        ("Die Ergebnisse der Studie zeigen, dass es nicht für alle gilt.", "German"),
        ("Les résultats de cette étude sont dans la table, avec des notes.", "French"),
        ("Los resultados de este estudio son más claros que los otros.", "Spanish"),
        ("Результаты исследования показали это", "Cyrillic script"),
        ("この研究の結果は表にある", "Japanese"),
        ("研究结果显示有效", "Chinese or Japanese"),
        ("نتائج الدراسة", "Arabic script"),
        ("12345 67890", "unknown"),
        ("", "unknown"),
    ],
)
def test_languages_by_script_and_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_shares_of_languages_are_of_the_texts() -> None:
    english, german = "the cat is in the house", "die Katze ist in dem Haus und schläft"
    assert languages_of([english] * 3 + [german]) == {"English": 0.75, "German": 0.25}
