"""Files as people and programs leave them: every one is read, left out by a rule, or a reject."""

from __future__ import annotations

import codecs
import gzip
import json
import os
from pathlib import Path

import pytest
import zstandard

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig, DocumentsConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.cutting import make_units
from lmtx_ray.corpus.inputs import list_inputs, listed_in
from lmtx_ray.corpus.lines import BadRow, CorpusError, Tally
from lmtx_ray.corpus.raw import RawReading, read_document
from lmtx_ray.corpus.readers import read_rows
from lmtx_ray.corpus.rows import part_rows
from lmtx_ray.io.locations import StorageError
from lmtx_ray.io.units import Part

ROWS = [{"id": f"d{n}", "text": f"text {n} é"} for n in range(3)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
IDS = ["d0", "d1", "d2"]


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def read(*places: Path | str, size: int = 1 << 20, **settings: object) -> tuple[list, list]:
    """(documents, (file, position, reason) of the rejects), as a run and a batch job read them."""
    source = DocumentsConfig(documents=tuple(map(str, places)), **settings)
    good, bad = [], []
    raw = RawReading(source, 0)
    for unit in make_units(list_inputs(source.documents), source, size):
        for part in unit.parts:
            for position, row, _ in part_rows(part, raw.reading(), Tally()):
                document, problems = read_document(row, raw)
                name = os.path.basename(part.uri)
                bad += [(name, position, problem.reason) for problem in problems]
                good += [document] if document else []
    return good, bad


def ids(found: tuple[list, list]) -> list[str]:
    good, bad = found
    assert not bad
    return [document["doc_id"] for document in good]


def test_what_systems_leave_in_folders_is_no_data(tmp_path: Path) -> None:
    leftovers = "_SUCCESS .x.crc .DS_Store ._en.jsonl Thumbs.db desktop.ini ~$en.csv dt=1/.y.crc"
    write(tmp_path, {name: b"\0\1" for name in leftovers.split()})
    write(tmp_path, {"_temporary/0/a.jsonl": "{", "__MACOSX/en.jsonl": "{", "dt=1/en.jsonl": LINES})
    assert ids(read(tmp_path)) == IDS
    assert ids(read(f"{tmp_path}/**/*")) == IDS
    assert read(f"{tmp_path}/_*")[1][0][0] == "_SUCCESS"  # asked for by name


def test_folders_that_are_linked_into_a_folder_are_read_once(tmp_path: Path) -> None:
    other = {"elsewhere/b.jsonl": '{"id": "b", "text": "b"}', "elsewhere/c/c.txt": "c"}
    write(tmp_path, {"in/2024/a.jsonl": LINES, **other})
    links = {"latest": "2024", "more": "../elsewhere", "again": "../elsewhere/c", "up": ".."}
    for name, target in {**links, "2024/round": "../../in"}.items():
        (tmp_path / "in" / name).symlink_to(target)
    (tmp_path / "elsewhere/back").symlink_to("../in")
    assert sorted(ids(read(tmp_path / "in"))) == ["again/c.txt", "b", *IDS]


def test_a_link_that_leads_nowhere_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.jsonl": LINES})
    (tmp_path / ".#a.jsonl").symlink_to("somebody@somewhere")  # what an editor leaves is no data
    assert ids(read(tmp_path)) == IDS
    (tmp_path / "b.jsonl").symlink_to("gone.jsonl")
    with pytest.raises(StorageError, match=r"b\.jsonl: No such file"):
        read(tmp_path)


def test_other_files_of_a_folder_are_a_reject_each(tmp_path: Path) -> None:
    write(tmp_path, {"a.jsonl": LINES, "385.key": "http://x\n", "385.tsv": "<http://x>\tcats\n"})
    good, bad = read(tmp_path)
    assert len(good) == 3
    assert [(name, position) for name, position, _ in bad] == [("385.key", 0), ("385.tsv", 0)]
    assert "cannot tell the format" in bad[0][2]
    assert "'<http://x>', 'cats'" in bad[1][2]
    assert "is there no header line?" in bad[1][2]


@pytest.mark.parametrize("name", ["A.JSONL", "A.JSONL.GZ", "a.Json.gz", "A.NDJSON.ZST", "A.CSV.GZ"])
def test_capitals_in_endings_are_read(tmp_path: Path, name: str) -> None:
    data = (LINES if "CSV" not in name else "ID,TEXT\nd0,a\nd1,b\nd2,c\n").encode()
    lower = name.lower()
    data = gzip.compress(data) if lower.endswith("gz") else data
    write(tmp_path, {name: zstandard.compress(data) if lower.endswith("zst") else data})
    assert ids(read(tmp_path)) == ids(read(tmp_path, size=20)) == IDS


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_is_packed_is_unpacked_whatever_its_name(tmp_path: Path, pack) -> None:
    data = LINES.encode()
    write(tmp_path, {"plain.jsonl": pack(data)})
    assert ids(read(tmp_path / "plain.jsonl", size=20)) == IDS
    write(tmp_path, {"twice.jsonl.gz": gzip.compress(pack(data))})
    assert ids(read(tmp_path / "twice.jsonl.gz")) == IDS


def test_text_files_of_one_name_have_ids_of_their_paths(tmp_path: Path) -> None:
    write(tmp_path, {"2023/report.txt": "a", "2024/report.txt": "b", "top.txt": "c"})
    assert ids(read(tmp_path)) == ["2023/report.txt", "2024/report.txt", "top.txt"]
    assert ids(read(f"{tmp_path}/*/*.txt")) == ["2023/report.txt", "2024/report.txt"]
    assert ids(read(tmp_path / "2023", tmp_path / "2024")) == ["2023/report.txt", "2024/report.txt"]
    assert ids(read(tmp_path / "2023/report.txt")) == ["report.txt"]
    write(tmp_path, {"list/all.manifest": f"{tmp_path}/top.txt"})
    assert ids(read(tmp_path / "list/all.manifest")) == [f"{tmp_path}/top.txt"]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [20, 1 << 20])
def test_a_json_array_is_read_item_by_item(tmp_path: Path, indent: int | None, size: int) -> None:
    write(tmp_path, {"a.json": json.dumps(ROWS, indent=indent)})
    good, bad = read(tmp_path, size=size)
    assert [document["doc_id"] for document in good] == IDS
    assert not bad
    write(tmp_path, {"a.json": json.dumps([*ROWS, 7, [ROWS[0]]], indent=indent)[:-1] + ',{"id": 1'})
    good, bad = read(tmp_path, size=size)
    assert len(good) == 4
    assert bad[0][1:] == (4, "a JSON object is needed, not int")
    assert "not JSON, the rest is lost" in bad[1][2]


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_that_breaks_off_keeps_its_whole_items_and_says_so(
    tmp_path: Path, indent: int | None
) -> None:
    text = json.dumps(ROWS, indent=indent)
    for cut in range(text.index('"d0"'), len(text)):
        write(tmp_path, {"a.json": text[:cut]})
        rows = list(read_rows(str(tmp_path / "a.json"), "jsonl"))
        good = [row for _, row in rows if isinstance(row, dict)]
        assert good == ROWS[: text[:cut].count("}")]
        bad = [row for _, row in rows if isinstance(row, BadRow)]
        assert len(bad) == 1  # also where it is cut between two items


@pytest.mark.parametrize("levels", [190, 250, 480, 700, 980, 100_000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_of_many_levels_costs_its_own_row_alone(
    tmp_path: Path, name: str, levels: int
) -> None:
    deep = '{"id": "deep", "more": ' + '{"a": [' * (levels // 2) + "]}" * (levels // 2) + "}"
    rows = [*LINES.splitlines(), deep]
    write(tmp_path, {name: "\n".join(rows) if name == "a.jsonl" else f"[{', '.join(rows)}]"})
    good, bad = read(tmp_path)
    assert [document["doc_id"] for document in good] == IDS
    assert [position for _, position, _ in bad] == [4]


def test_a_json_file_of_one_document_has_its_path_for_an_id(tmp_path: Path) -> None:
    one = {"text": "pots", "metadata": {"title": "x"}}
    files = {f"{n}/d.json": json.dumps(one, indent=n) for n in (None, 2)}
    write(tmp_path, {**files, "3/d.json": json.dumps({**one, "id": "own"}, indent=1)})
    assert ids(read(tmp_path)) == ["2/d.json", "own", "None/d.json"]
    write(tmp_path, {"two.json": json.dumps(one, indent=1) * 2})
    assert ids(read(tmp_path / "two.json")) == ["two.json", "two.json#2"]


def test_json_lines_stay_lines_whatever_the_first_one_is(tmp_path: Path) -> None:
    write(tmp_path, {"a.json": '{"id": 1, \n' + LINES, "b.json": "[1]\n7\n" + LINES, "c.json": ""})
    good, bad = read(tmp_path)
    assert [document["doc_id"] for document in good] == IDS * 2
    assert [(name, position) for name, position, _ in bad] == [
        ("a.json", 1),
        ("b.json", 1),
        ("b.json", 2),
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "utf-16", "utf-16-le", "UTF8"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.txt", "a.json"])
def test_text_of_any_encoding_is_read_with_its_name(
    tmp_path: Path, encoding: str, name: str
) -> None:
    mark = "\t" if "tsv" in name else ","
    table = "\r\n".join(mark.join(row.values()) for row in [{"id": "id", "t": "text"}, *ROWS])
    texts = {"a.txt": "é", "a.json": json.dumps(ROWS, ensure_ascii=False, indent=1)}
    text = texts.get(name) or (LINES if name == "a.jsonl" else table)
    write(tmp_path, {name: text.encode(encoding)})
    good, bad = read(tmp_path, size=20, encoding=encoding)
    assert not bad
    assert all("é" in document["text"] for document in good)
    assert len(good) == (1 if name == "a.txt" else 3)


def test_another_encoding_is_named_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, {"a.csv": "id,text\n1,caf\u00e9\n".encode("latin-1")})
    _, (latin,) = read(tmp_path)
    said = "is it Latin-1 or Windows-1252? Then set corpus.encoding or --encoding"
    assert latin == ("a.csv", 2, f"invalid UTF-8 at byte 5; {said}")
    write(tmp_path, {"a.csv": b"id,text\n1,\xff\n"})
    _, (wrong,) = read(tmp_path, encoding="shift_jis")
    assert wrong[2] == "invalid UTF-8 at byte 2, and not shift_jis either"
    with pytest.raises(ValueError, match="no such encoding"):
        DocumentsConfig(documents=("a",), encoding="latin-99")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_says_its_encoding_by_itself_is_read_as_that(tmp_path: Path, encoding: str) -> None:
    marked = codecs.BOM_UTF16_LE + LINES.encode("utf-16-le")
    array = json.dumps(ROWS, ensure_ascii=False, indent=1)
    write(tmp_path, {"a.jsonl": marked, "b.jsonl": LINES, "c.json": array.encode("utf-16")})
    write(tmp_path, {"d.json": codecs.BOM_UTF8 + array.encode()})
    for size in (20, 1 << 20):
        good, bad = read(tmp_path, size=size, encoding=encoding)
        assert not bad
        assert [document["text"] for document in good] == [row["text"] for row in ROWS] * 4


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_column_may_be_that_of_a_folder(tmp_path: Path, name: str) -> None:
    data = LINES if name == "a.jsonl" else "id,text\nd0,a\n"
    write(tmp_path, {f"day=1%2F2/part=__HIVE_DEFAULT_PARTITION__/{name}": data})
    (file,) = list_inputs([str(tmp_path)])
    source = DocumentsConfig(documents=("x",), columns=ColumnMap(title="day"))
    raw = RawReading(source, 0)
    reading = raw.reading().__class__(source, ("part",))
    _, row, _ = next(part_rows(Part(file.uri), reading, Tally()))
    assert (row["day"], row["part"]) == ("1/2", None)
    document, _ = read_document(row, raw)
    assert document is not None
    assert document["title"] == "1/2"


def test_a_name_that_no_library_should_see_is_a_reject(tmp_path: Path) -> None:
    write(tmp_path, {"a\nb.jsonl": LINES, "c.jsonl": LINES})
    good, bad = read(tmp_path)
    assert len(good) == 3
    assert bad[0][1:] == (0, "empty path or control characters")


def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.jsonl": LINES})
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_text(LINES)
    for place in (tmp_path, f"{tmp_path}/*.jsonl"):
        with pytest.raises(CorpusError, match=r"caf\\udce9.jsonl: its name is not UTF-8") as error:
            read(place)
        assert str(error.value).encode()


def test_a_folder_whose_name_looks_like_a_glob_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"run [1]/a.txt": "a", "run [1]/b/c.txt": "c", "run 1/d.txt": "d"})
    assert ids(read(tmp_path / "run [1]")) == ["a.txt", "b/c.txt"]
    assert ids(read(f"{tmp_path}/run [1]/")) == ["a.txt", "b/c.txt"]
    assert ids(read(f"{tmp_path}/run [1]/*.txt")) == ["run 1/d.txt"]


def test_an_error_of_all_rows_names_the_first_reasons(tmp_path: Path) -> None:
    write(
        tmp_path, {"d.jsonl": '{"id": 1}\n7\n{"id": 2, "text": null}\n8\n', "l.csv": "id,name\n1,a"}
    )
    config = CorpusConfig(documents=(f"{tmp_path}/d.jsonl",), labels=f"{tmp_path}/l.csv")
    with pytest.raises(CorpusError) as error:
        count_corpus(config)
    assert str(error.value) == (
        f"{tmp_path}/d.jsonl: no readable document; 4 rows were rejected: {tmp_path}/d.jsonl "
        "row 1: missing field 'content'; row 2: a JSON object is needed, not int; row 3: field "
        "'text' is empty; …"
    )
    (tmp_path / "none").mkdir()
    with pytest.raises(CorpusError, match="none: no file to read is there"):
        count_corpus(config.model_copy(update={"documents": (f"{tmp_path}/none",)}))


@pytest.mark.parametrize(
    ("pattern", "name", "written", "listed"),
    [
        ("/a/**/b/**/*.csv", "/a/x/b/c.csv", [], True),
        ("/a/**/b/**/*.csv", "/a/b/x/y/c.csv", [], True),
        ("/a/**/b/**/*.csv", "/a/c.csv", [], False),
        ("/a/**", "/a/x/y/c.csv", [], True),
        ("/a/*", "/a/x", ["0.csv"], False),
        ("/a/*/*.csv", "/a/x", ["0.csv"], True),
        ("/a/**", "/a/x", ["0.csv"], True),
        ("/a/**/*.csv", "/a/x", ["0.csv"], True),
        ("/a/**/*.jsonl", "/a/x", ["0.csv"], False),
        ("/a/**/*.csv", "/a/.hidden/x", ["0.csv"], False),
        ("/a/_*/*.csv", "/a/_x", ["0.csv"], True),
    ],
)
def test_a_glob_lists_what_it_would_on_a_disk(
    pattern: str, name: str, written: list[str], listed: bool
) -> None:
    assert (listed_in(name, [pattern], written) == pattern) is listed
