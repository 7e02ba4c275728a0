"""CSV and TSV: whatever the quotation marks and line ends, no row is lost without a reject."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus.columns import document_columns
from lmtx_ray.corpus.documents import to_document
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.lines import BadRow, CorpusError
from lmtx_ray.corpus.readers import How, read_rows

INCHES = """id\ttitle\ttext
1\t5" pots\tpottery
2\t"Heavy metal" music\tmummies
3\t"unclosed title\trock art
4\tfour\tpapyri
5\tfive\tpyramids
6\tsix "\tshipwrecks
7\tseven\tcemeteries
"""


def read(folder: Path, name: str, data: str | bytes) -> list[tuple[int, dict | BadRow]]:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    how = How(document_columns(ColumnMap()))
    return list(read_rows(str(path), name.rsplit(".", 1)[1], how=how))


def good(rows: list[tuple[int, dict | BadRow]]) -> list[tuple[int, str]]:
    return [(position, row["id"]) for position, row in rows if isinstance(row, dict)]


def bad(rows: list[tuple[int, dict | BadRow]]) -> list[tuple[int, str, str]]:
    return [(at, row.reason, row.raw) for at, row in rows if isinstance(row, BadRow)]


def test_a_quotation_mark_in_tsv_is_a_character_and_swallows_no_row(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.tsv", INCHES)
    assert good(rows) == [(n + 1, str(n)) for n in range(1, 8)]
    titles = [row["title"] for _, row in rows]
    assert titles[:3] == ['5" pots', '"Heavy metal" music', '"unclosed title']
    assert titles[5] == 'six "'


def test_tsv_with_every_field_in_quotation_marks_is_read_too(tmp_path: Path) -> None:
    text = '"id"\t"title"\t"text"\r\n"1"\t"a ""b"""\t"one\ttab"\r\n"2"\t""\t"""open"\r\n'
    rows = [row for _, row in read(tmp_path, "a.tsv", text)]
    assert rows == [
        {"id": "1", "title": 'a "b"', "text": "one\ttab"},
        {"id": "2", "title": "", "text": '"open'},
    ]


def test_ragged_tsv_lines_are_rejected_each(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.tsv", 'id\ttext\n1\t"line one\nline two"\n\n2\tb\tc\n3\td\n')
    assert good(rows) == [(2, "1"), (6, "3")]
    assert [(at, raw) for at, _, raw in bad(rows)] == [(3, 'line two"'), (5, "2 | b | c")]
    assert "1 fields, the header has 2" in bad(rows)[0][1]


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_line_ends_of_a_lone_carriage_return_are_an_error_of_the_file(
    tmp_path: Path, name: str, mark: str
) -> None:
    with pytest.raises(CorpusError, match=r"a\.[ct]sv: its header: .*carriage return"):
        read(tmp_path, name, f"id{mark}text\r1{mark}a\r2{mark}b\r")


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_lone_carriage_return_between_rows_rejects_their_line(
    tmp_path: Path, name: str, mark: str
) -> None:
    rows = read(tmp_path, name, f"id{mark}text\n1{mark}a\r2{mark}b\n3{mark}c\n")
    assert good(rows) == [(3, "3")]
    assert [(at, raw) for at, _, raw in bad(rows)] == [(2, f"1{mark}a\r2{mark}b")]


def test_a_quote_that_csv_never_closes_costs_its_own_line_alone(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'id,text\n1,a\n2,"open\n3,c\n4,"two\nlines"\n5,e')
    assert good(rows) == [(2, "1"), (4, "3"), (5, "4"), (7, "5")]
    ((position, reason, raw),) = bad(rows)
    assert (position, raw) == (3, '2,"open')
    assert "not ','-separated" in reason


def test_a_broken_quote_in_csv_costs_its_own_line_alone(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'id,text\n1,"open\n2,b\n3,"x" y\n4,d\n')
    assert good(rows) == [(3, "2"), (5, "4")]
    assert [(at, raw) for at, _, raw in bad(rows)] == [(2, '1,"open'), (4, '3,"x" y')]


def test_a_line_that_cannot_be_read_closes_no_quote(tmp_path: Path) -> None:
    data = b'id,text\n1,"open\n\xff close"\n2,b\n3,"c"\n4,"d\n\xff\n\xff\ne"\n5,f\n'
    rows = read(tmp_path, "a.csv", data)
    assert good(rows) == [(4, "2"), (5, "3"), (10, "5")]
    assert [at for at, *_ in bad(rows)] == [2, 3, 6, 7, 8, 9]


def test_the_place_of_a_row_is_its_first_line(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'id,text\r\n1,"a\r\n\r\nb ""c"""\r\n2,d\r\n')
    assert [(at, row["text"]) for at, row in rows] == [(2, 'a\n\nb "c"'), (5, "d")]


@pytest.mark.parametrize("header", ['"id,text\n1,a\n', '"id" x,text\n1,a\n'])
def test_a_broken_header_is_an_error_of_the_file(tmp_path: Path, header: str) -> None:
    with pytest.raises(CorpusError, match=r"a\.csv: its header"):
        read(tmp_path, "a.csv", header)


def test_a_header_in_quotation_marks_names_the_same_columns(tmp_path: Path) -> None:
    assert good(read(tmp_path, "a.csv", '"id","text","te""xt"\n1,a,b\n')) == [(2, "1")]
    assert good(read(tmp_path, "a.tsv", '"id"\ttext\n1\ta\n')) == [(2, "1")]


@pytest.mark.parametrize("data", ["id,text,text\n1,pottery,rock art\n", "id,id,text\n1,2,a\n"])
def test_two_columns_of_one_usual_name_are_an_error(tmp_path: Path, data: str) -> None:
    with pytest.raises(CorpusError, match=r"column '(text|id)' is there more than once"):
        read(tmp_path, "a.csv", data)


@pytest.mark.parametrize("header", ["ID,Text", "id, text", "Doc ID,CONTENT", "UID ,Title"])
def test_a_header_in_other_case_or_with_spaces_is_taken_for_what_it_says(header: str) -> None:
    row = dict(zip(header.split(","), ("1", "pottery"), strict=True))
    document = to_document(row, ColumnMap())
    assert (document["doc_id"], document["text"]) == ("1", "pottery")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("id,body\n1,a\n", "no column 'content', 'text' or 'title' in its first line, which has"),
        (
            "nr,text\n1,a\n",
            "'nr', 'text': Set corpus.columns.doc_id or --id-field; or is there",
        ),
        ("id,txt\n1,a\n", "did you mean txt? Set corpus.columns.text or --text-field"),
        ("id,Text,TEXT\n1,a,b\n", "did you mean Text?"),
        ("u1,pottery\nu2,rock art\n", "Then put one on top"),
    ],
)
def test_a_header_without_what_is_needed_says_what_to_do(
    tmp_path: Path, data: str, said: str
) -> None:
    with pytest.raises(CorpusError) as error:
        read(tmp_path, "a.csv", data)
    assert said in str(error.value)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_may_have_another_separator(tmp_path: Path, mark: str) -> None:
    data = f'id{mark}text\n1{mark}"a{mark} b, c"\n2{mark}1,5\n'
    rows = [row for _, row in read(tmp_path, "a.csv", data)]
    assert [row["text"] for row in rows] == [f"a{mark} b, c", "1,5"]


def test_a_text_in_lines_of_a_lone_carriage_return_says_so(tmp_path: Path) -> None:
    ((_, row),) = read(tmp_path, "a.jsonl", '{"id": "1"}\r{"id": "2"}\r')
    assert "carriage return" in row.reason


def test_a_quotation_mark_in_a_label_file_shifts_no_label(tmp_path: Path) -> None:
    (tmp_path / "l.tsv").write_text('uid\ttitle\nL0\t"open\nL1\tone\nL2\tinch "\nL3\tthree\n')
    (labels,) = label_tables(CorpusConfig(documents=("-",), labels=str(tmp_path / "l.tsv")), 99)
    assert labels["text"].to_pylist() == ['"open', "one", 'inch "', "three"]
    (tmp_path / "l.csv").write_text('uid,title\nL0,zero\nL1,"open\nL2,two\n')
    with pytest.raises(CorpusError, match=r"l\.csv row 3: .*quotation mark is never closed"):
        list(label_tables(CorpusConfig(documents=("-",), labels=str(tmp_path / "l.csv")), 99))
