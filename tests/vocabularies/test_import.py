"""Tables, lists and the files of Annif and XMC through `lmtx labels import`."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.io import storage

U = "http://vocab.example.org/onto/s/p"
ANNIF = f"<{U}1000>\tarchaeology\n<{U}1001>\tbronze age\tnotation\n<{U}1000>\tagain\n"
ANNIF_CSV = (
    f"uri,notation,label_en,label_fi\n{U}1,,archaeology,arkeologia\n{U}2,,,pronssikausi\n{U}3,,,\n"
)


@pytest.fixture
def take(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    def run(name: str, data: str | bytes, *more: str, out: str = "out.parquet") -> tuple[dict, str]:
        """(the result, what people read) of an import of a file."""
        source = tmp_path / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        code = main(["labels", "import", str(source), str(tmp_path / out), *more])
        shown = capsys.readouterr()
        return (json.loads(shown.out) if code == 0 else {}), shown.err or caplog.text

    return run


def rows(path: str | Path, *columns: str) -> list[tuple]:
    """Rows as a run reads them, with nothing said of columns."""
    config = CorpusConfig(documents=("-",), labels=str(path))
    table = pa.concat_tables(label_tables(config, 100))
    return [tuple(row.values()) for row in table.select(list(columns)).to_pylist()]


def rejected(result: dict) -> list[tuple[int, str]]:
    lines = Path(result["rejects"]).read_text(encoding="utf-8").splitlines()
    return [(row["position"], row["reason"]) for row in map(json.loads, lines)]


def test_annifs_tsv_has_no_header_and_addresses_in_brackets(take) -> None:
    told, said = take("subjects.tsv", ANNIF)
    assert rows(told["output"], "label_key", "text") == [
        (f"{U}1000", "archaeology"),
        (f"{U}1001", "bronze age"),
    ]
    assert rejected(told) == [(3, f"duplicate key '{U}1000', first in row 1")]
    assert "read as annif" in said
    assert "1 row was rejected: " in said
    assert "use keys, or --number" in said


def test_annifs_csv_falls_back_to_another_language(take) -> None:
    told, _ = take("subjects.csv", ANNIF_CSV)
    assert rows(told["output"], "label_key", "text", "aliases") == [
        (f"{U}1", "archaeology", ["arkeologia"]),
        (f"{U}2", "pronssikausi", None),
    ]
    assert rejected(told) == [(4, "field 'label_en' needs a text, got None")]
    assert told["shown_in"] == {"en": 1, "fi": 1}
    told, _ = take("subjects.csv", ANNIF_CSV, "--language", "fi", "--overwrite")
    assert rows(told["output"], "text", "aliases")[0] == ("arkeologia", ["archaeology"])
    assert (told["languages"], told["shown_in"]) == (["fi", "en"], {"fi": 2})


def test_annifs_csv_tells_labels_apart_by_their_addresses(take) -> None:
    data = f"uri,notation,label_en\n{U}1,A1,archaeology\n{U}2,A2,bronze age\n"
    told, _ = take("subjects.csv", data)
    assert rows(told["output"], "label_key") == [(f"{U}1",), (f"{U}2",)]


def test_several_rows_of_a_label_in_several_languages_are_one(take) -> None:
    data = "key;name;lang;synonyms\n1;Pferd;de;Ross|Gaul\n1;horse;en;\n2;cat;en;\n1;;fr;\n"
    told, _ = take("l.csv", data, "--language", "en")
    assert rows(told["output"], "label_key", "text", "aliases") == [
        ("1", "horse", ["Pferd", "Ross", "Gaul"]),
        ("2", "cat", None),
    ]
    assert rejected(told) == [(5, "field 'name' needs a text, got ''")]
    assert take("m.csv", data, "--number", out="m.parquet")[1].count("--number: a label has")


def test_columns_are_guessed_by_usual_names_or_named(take) -> None:
    data = "Code\tBenennung\tDefinition\tSynonyme\tOberbegriff\nA\tTon\tErde\tLehm; Lehmton\t\n"
    told, said = take("l.tsv", data + "B\tTiegel\t\t\tA\n", "--separator", ";")
    assert told["columns"] == {
        "key": "Code",
        "text": "Benennung",
        "description": "Definition",
        "aliases": "Synonyme",
        "parents": "Oberbegriff",
    }
    assert "text 'Benennung'" in said
    assert rows(told["output"], *schemas.LABELS.names[1:]) == [
        ("A", "Ton", "Erde", ["Lehm", "Lehmton"], None),
        ("B", "Tiegel", None, None, ["A"]),
    ]
    told, _ = take("l.tsv", data, "--key", "Benennung", "--text", "Definition", "--parents", "",
                   out="other.parquet")  # fmt: skip
    assert rows(told["output"], "label_key", "text", "parent_keys") == [("Ton", "Erde", None)]
    _, said = take("l.tsv", data, "--key", "code", out="third.parquet")
    assert "--key: " in said
    assert "did you mean Code?" in said


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl", "l.tsv", "l.parquet"])
def test_every_output_is_read_again_as_it_was_written(take, tmp_path: Path, name: str) -> None:
    odd = [
        {
            "uid": "a|b",
            "title": 'say "x",\ty',
            "aliases": ["one|two", "three\\"],
            "parent_keys": [],
        },
        {"uid": "=1+1", "title": "  é  ", "description": "two\nlines", "parent_keys": ["a|b"]},
    ]
    told, _ = take("l.json", json.dumps(odd), out=name)
    first, second = rows(told["output"], *schemas.LABELS.names[1:])
    assert first[:2] == ("a|b", 'say "x", y')
    assert first[3] == ["one|two", "three\\"]
    assert second[:3] == ("=1+1", "é", "two lines")
    assert second[4] == ["a|b"]
    again, _ = take("copy." + name.split(".")[1], Path(told["output"]).read_bytes(), out="z.jsonl")
    assert (again["labels"], again["rejected"]) == (2, 0)


@pytest.mark.parametrize(
    ("name", "key", "held"),
    [("o.csv", "a\nb", True), ("o.csv", "a\rb", False), ("o.tsv", "a\nb", False)],
)
def test_a_key_that_a_format_cannot_hold_is_no_half_written_file(
    take, tmp_path: Path, name: str, key: str, held: bool
) -> None:
    own = [{"key": "p", "text": "x"}, {"key": key, "text": "y", "parent_keys": ["p"]}]
    below = [{"key": "q", "text": "z", "parent_keys": [key]}]
    for labels, where in ((own, "label_key"), (below, "parent_keys")):
        told, said = take("l.json", json.dumps(labels), "--overwrite", out=name)
        if held:
            assert rows(told["output"], "label_key")[-1] == (labels[-1]["key"],)
        else:
            assert f"a line break in its {where}, which a .{name[2:]} file cannot hold" in said
            assert not (tmp_path / name).exists()


def test_parquet_is_of_the_contract(take) -> None:
    told, _ = take("l.txt", "cats\ndogs\n\ncats\n")
    table = pq.read_table(told["output"])
    assert schemas.contract_of(table.schema) == schemas.contract_of(schemas.LABELS)
    assert table["label_id"].to_pylist() == [0, 1]
    assert rejected(told) == [(4, "duplicate key 'cats', first in row 1")]


def test_labels_of_xmc_sets(take) -> None:
    lines = [
        {"uid": "B0A", "title": "Ballet skirt &amp; top", "content": "For children"},
        {"uid": "B0B", "title": "", "content": ""},
        {"uid": "B0C", "title": "Board book", "content": ""},
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines)
    told, _ = take("lbl.json", data, "--html", "--number")
    assert rows(told["output"], "label_key", "text", "description") == [
        ("0", "Ballet skirt & top", "For children"),
        ("2", "Board book", None),
    ]
    told, _ = take("Yf.txt", "a cat\n\na dog\na cat\n", out="yf.parquet")
    assert rows(told["output"], "label_key", "text") == [
        ("0", "a cat"),
        ("2", "a dog"),
        ("3", "a cat"),
    ]
    _, said = take("lbl_X_Xf.txt", "2 9\n0:1.0 3:0.5\n1:1\n", out="no.parquet")
    assert "a sparse matrix of numbers, not the labels' names" in said


def test_a_table_without_a_header(take) -> None:
    told, _ = take("l.csv", "http://a/1,cats\nhttp://a/2,dogs\n")
    assert rows(told["output"], "label_key", "text")[0] == ("http://a/1", "cats")
    options = ("--no-header", "--key", "2", "--text", "1")
    told, _ = take("m.csv", "cats;7\ndogs;8\n", *options, out="m.parquet")
    assert rows(told["output"], "label_key", "text") == [("7", "cats"), ("8", "dogs")]


def test_texts_of_any_script_and_half_a_surrogate_pair(take) -> None:
    lines = ['{"uid": "x0", "title": "археология"}', '{"uid": "x6", "title": "考古学"}']
    lines += ['{"uid": "x1", "title": "settlements \\ud83d"}', '{"uid": "x2\\udcb2", "title": "y"}']
    lines += ['{"uid": "x3", "title": "z", "aliases": ["\\ud83d"]}', "{broken"]
    told, _ = take("l.jsonl", "\n".join(lines))
    assert rows(told["output"], "text") == [("археология",), ("考古学",)]
    reasons = [reason for _, reason in rejected(told)]
    assert reasons[:3] == [
        "lone surrogate in field 'title'",
        "lone surrogate in field 'uid'",
        "lone surrogate in field 'aliases'",
    ]
    assert reasons[3].startswith("not JSON: ")


def test_what_is_there_stays_and_old_rejects_go(take, tmp_path: Path) -> None:
    told, _ = take("l.txt", "cats\ncats\n")
    assert Path(told["rejects"]).exists()
    _, said = take("l.txt", "dogs\n")
    assert "is there already and stays as it is; see --overwrite" in said
    assert rows(tmp_path / "out.parquet", "text") == [("cats",)]
    told, _ = take("l.txt", "dogs\n", "--overwrite")
    assert told["rejects"] is None
    assert not (tmp_path / "out.rejects.jsonl").exists()


def test_a_source_without_a_label_writes_nothing_but_its_rejects(take, tmp_path: Path) -> None:
    _, said = take("l.csv", "uid,title\n1,\n,x\n")
    assert "no labels; 2 rows were rejected: " in said
    assert not (tmp_path / "out.parquet").exists()
    assert (tmp_path / "out.rejects.jsonl").exists()
    for name, hint in (("l.pdf", "cannot tell the format"), ("l.csv", "labels are written as")):
        out = "out.txt" if name == "l.csv" else "out.csv"
        assert hint in take(name, "uid,title\n1,a\n", out=out)[1]


@pytest.mark.parametrize("size", [1, 3000])
def test_a_vocabulary_that_is_cut_off_is_an_error_and_no_smaller_one(
    take, tmp_path: Path, size: int
) -> None:
    """Also where the beginning, which is looked at first, is whole."""
    lines = (f"{n},{n} {random.Random(n).randbytes(size).hex()}\n" for n in range(999))
    packed = gzip.compress(("uid,title\n" + "".join(lines)).encode(), 1)
    _, said = take("l.csv.gz", packed[:-200])
    assert "damaged compressed file" in said
    assert ("the rest is lost" in said) is (size > 1)
    assert not (tmp_path / "out.parquet").exists()


def test_other_encodings_are_told_by_the_beginning_or_named(take) -> None:
    told, _ = take("l.csv", "uid,title\n1,Bären im Wald\n".encode("cp1252"))
    assert rows(told["output"], "text") == [("Bären im Wald",)]
    told, _ = take("m.csv", "uid,title\n1,熊\n".encode("shift_jis"), "--encoding", "shift_jis",
                   out="m.csv.parquet")  # fmt: skip
    assert rows(told["output"], "text") == [("熊",)]


def test_several_files_are_one_vocabulary(take, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "many").mkdir(exist_ok=True)
        storage.write_bytes(str(tmp_path / f"many/{number}.csv"), b"id,name\nk,same\n")
        with (tmp_path / f"many/{number}.csv").open("a") as file:
            file.write(f"k{number},x\n")
    assert main(["labels", "import", str(tmp_path / "many"), str(tmp_path / "o.csv")]) == 0
    assert [key for key, _ in rows(tmp_path / "o.csv", "label_key", "text")] == ["k", "k0", "k1"]
    assert (tmp_path / "o.rejects.jsonl").exists()
