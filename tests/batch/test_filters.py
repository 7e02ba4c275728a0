"""`lmtx tag` with filters: of all rows from files, and of each row from a column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.batch.outputs import read_rejects, read_tags
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.corpus.key_files import read_keys
from lmtx_ray.corpus.lines import CorpusError
from tests.batch.tagging import document, lines, tag
from tests.tiny_bundle import LABELS


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(*(document(n) for n in range(6))))
    return file


def asked(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text().splitlines()]


def keys_of(output: Path) -> list[list[str]]:
    return read_tags(str(output))["label_keys"].to_pylist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keys.txt", "L3\n\n L5 \nL7\nL3\n"),
        ("keys.csv", "L3\nL5\nL7\n"),
        ("keys.csv", "name,key\nsome,L3\n,L5\n,L7\n"),
        ("keys.tsv", "uid\tname\nL3\t\nL5\ta\nL7\t\n"),
        ("keys.jsonl", '{"key": "L3"}\n{"key": "L5"}\n{"key": "L7"}\n'),
        ("keys.tsv", 'text\tkey\n"a\tL3\ny "\tL5\nz\tL7\n'),
        ("keys.csv", "key,note\nL3,{long}\nL5,\nL7,\n".replace("{long}", "x" * 200_000)),
        ("keys.csv", 'L3,"two\nlines"\nL5,a\nL7,b\n'),
        ("keys.csv", "label_key,id\nL3,1\n,2\nL5,3\nL7,4\n"),
        ("keys.csv", "key,note,note\nL3,a,b\nL5,c,d\nL7,e,f\n"),
    ],
)
def test_keys_are_read_from_a_file_of_any_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_keys(str(tmp_path / name)) == ("L3", "L5", "L7")


def test_a_line_of_a_text_is_a_key_whatever_stands_in_it(tmp_path: Path) -> None:
    for name in ("keys.txt", "keys.raw.txt"):
        (tmp_path / name).write_text('Dogs, wild\n\n"Cats"\n')
        assert read_keys(str(tmp_path / name)) == ("Dogs, wild", '"Cats"')


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", 'key,text\nk1,"a\nk2,y\nk3,z\n', "row 2: .*quotation mark is never closed"),
        ("a.csv", "key,text\nk1,a\rb\n", "row 2: .*carriage return"),
        ("a.csv", "key,text\nk1,a\nk2\n", "row 3: 1 fields, the header has 2"),
        ("a.csv", "k1\nk2,k3\n", "row 2: 2 fields, the first row has 1"),
        ("a.csv", "key,key\nk1,k2\n", "column 'key' is there more than once"),
        ("a.tsv", "k1\nk2\0\n", "row 2: NUL character"),
    ],
)
def test_a_table_of_keys_that_cannot_be_read_to_its_end_is_an_error(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match=f"{name}.*{said}"):
        read_keys(str(tmp_path / name))


def test_a_file_without_keys_is_an_error_that_names_it(tmp_path: Path) -> None:
    for name, text, said in (
        ("a.txt", " \n", "holds no label key"),
        ("a.jsonl", '{"a": 1, "b": 2}', "row 1: no field of label keys"),
        ("a.jsonl", "no json", "row 1: not JSON"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(CorpusError, match=f"{name}.*{said}"):
            read_keys(str(tmp_path / name))
    with pytest.raises(CorpusError, match="no such file"):
        read_keys(str(tmp_path / "absent.txt"))


def test_filters_of_all_rows_give_what_the_tagger_gives(
    bundle: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "allow.txt").write_text("\n".join(f"L{n}" for n in range(9)))
    (tmp_path / "deny.csv").write_text("key\nL1\n")
    options = ["--allow-file", str(tmp_path / "allow.txt"), "--deny-file"]
    options += [str(tmp_path / "deny.csv"), "--under", "L0", "--under", "L2", "--under", "L4"]
    assert tag(bundle, str(source), str(tmp_path / "out"), *options) == 0
    tagger, rows = Tagger.load(bundle, threads=1), read_tags(str(tmp_path / "out")).to_pylist()
    expected = tagger.tag(
        asked(source),
        ids=[row["doc_id"] for row in rows],
        titles=["A trial"] * len(rows),
        allow=[f"L{n}" for n in range(9)],
        deny=["L1"],
        under=["L0", "L2", "L4"],
    )
    assert rows == expected.to_pylist()
    assert {key for row in rows for key in row["label_keys"]} == {"L3", "L5"}


def test_another_filter_is_another_job(bundle: str, source: Path, tmp_path: Path, caplog) -> None:
    (tmp_path / "keys.txt").write_text("L1\nL2\n")
    options = ["--allow-file", str(tmp_path / "keys.txt")]
    out = str(tmp_path / "out")
    assert tag(bundle, str(source), out, *options) == 0
    (tmp_path / "keys.txt").write_text("L2\nL1\nL1\n")  # the same keys
    assert tag(bundle, str(source), out, *options) == 0
    (tmp_path / "keys.txt").write_text("L1\nL3\n")
    for other in (options, []):
        assert tag(bundle, str(source), out, *other) != 0
    assert "allow" in caplog.text
    assert "use another folder" in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--under", "L99"], "--under: not a key of this label set: 'L99' (near: "),
        (["--allow-file", "KEYS"], "keys.txt: not a key of this label set: 'L77' (near: "),
        (["--under", "L1"], "no label fulfils the filter"),
        (["--deny-file", "absent.txt"], "no such file: absent.txt"),
    ],
)
def test_a_wrong_filter_is_refused_before_anything_is_tagged(
    bundle: str, source: Path, tmp_path: Path, caplog, options: list[str], said: str
) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("L1\nL77\n")
    options = [str(keys) if option == "KEYS" else option for option in options]
    assert tag(bundle, str(source), str(tmp_path / "out"), *options) != 0
    assert said in caplog.text
    assert not (tmp_path / "out").exists()


def test_each_row_may_name_its_own_labels(bundle: str, tmp_path: Path) -> None:
    """A list, a text with any separator, nothing; what is wrong is told and costs no row."""
    fields = [
        {"mine": ["L1", "L3"]},
        {"mine": "L1; L3"},
        {"mine": "L1|L3", "not": "L3"},
        {"mine": ""},
        {},
        {"mine": ["L1", "L77"]},
        {"mine": "nothing known"},
        {"mine": []},
        {"mine": {"a": 1}},
        {"mine": ["L1", "half a pair: \ud800"]},
    ]
    rows = [{**document(n), **one} for n, one in enumerate(fields)]
    (tmp_path / "in.jsonl").write_bytes(lines(*({**row, "text": "heart pain"} for row in rows)))
    options = ["--allow-column", "mine", "--deny-column", "not", "--top-k", "16"]
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out"), *options) == 0
    tags = read_tags(str(tmp_path / "out")).to_pylist()
    both, every = {"L1", "L3"}, {f"L{n}" for n in range(len(LABELS))}
    expected = [both, both, {"L1"}, every, every, {"L1"}, set(), set(), set(), {"L1"}]
    assert [set(row["label_keys"]) for row in tags] == expected
    reasons = [row["reason"] for row in tags]
    assert reasons[:5] == [""] * 5
    assert reasons[5].startswith("field 'mine': not a key of this label set: 'L77' (near: 'L7'")
    assert reasons[6] == "field 'mine': not a key of this label set: 'nothing known'"
    assert reasons[7] == "allow is an empty list"
    assert reasons[8].startswith("field 'mine': a list of labels is needed")
    assert reasons[9] == r"field 'mine': not a key of this label set: 'half a pair: \ud800'"
    assert read_rejects(str(tmp_path / "out")).num_rows == 0
    tagger = Tagger.load(bundle, threads=1)
    alone = tagger.tag(["heart pain"], 16, titles=["A trial"], filters=[Filter.of(["L1", "L3"])])
    assert alone.to_pylist()[0]["probabilities"] == tags[0]["probabilities"]


def test_a_row_whose_denied_labels_cannot_be_read_has_no_tags(bundle: str, tmp_path: Path) -> None:
    fields: list[dict] = [{"not": {"L1": 1}}, {"not": ["L1", 1.5], "mine": ["L1"]}, {"not": "L77"}]
    rows = [{**document(n), **one} for n, one in enumerate(fields)]
    (tmp_path / "in.jsonl").write_bytes(lines(*rows))
    options = ["--deny-column", "not", "--allow-column", "mine"]
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out"), *options) == 0
    first, second, third = read_tags(str(tmp_path / "out")).to_pylist()
    for row in (first, second):
        assert row["label_keys"] == []
        assert row["reason"].startswith("field 'not': a list of labels is needed")
    assert len(third["label_keys"]) == 5  # what is denied is no label here, so it is no tag


def test_a_column_that_no_row_has_is_refused(bundle: str, tmp_path: Path, caplog) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(0), document(1, mine=["L1"])))
    out = tmp_path / "out"
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(out), "--allow-column", "mien") != 0
    assert "no field 'mien' in the first rows; did you mean mine?" in caplog.text
    assert not out.exists()
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(out), "--allow-column", "mine") == 0
    assert keys_of(out)[1] == ["L1"]


def test_a_column_of_lists_filters_from_parquet_and_a_missing_one_is_an_error(
    bundle: str, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": ["a", "b"], "text": ["heart", "lung"], "mine": [["L9"], None]})
    pq.write_table(table, tmp_path / "in.parquet")
    options = ["--allow-column", "mine"]
    assert tag(bundle, str(tmp_path / "in.parquet"), str(tmp_path / "out"), *options) == 0
    first, second = keys_of(tmp_path / "out")
    assert first == ["L9"]
    assert len(second) == 5
    options = ["--allow-column", "yours"]
    assert tag(bundle, str(tmp_path / "in.parquet"), str(tmp_path / "other"), *options) != 0


def test_a_text_is_tagged_with_allowed_labels(bundle: str, capsys, caplog) -> None:
    def keys(*options: str) -> list[str]:
        assert main(["tag-text", "--bundle", bundle, *options, "heart pain"]) == 0
        return [one["key"] for one in json.loads(capsys.readouterr().out)["tags"]]

    assert sorted(keys("--allow", "L3", "--allow", "L12")) == ["L12", "L3"]
    assert keys("--under", "L6") == ["L7"]
    assert "L1" not in keys("--deny", "L1")
    assert main(["tag-text", "--bundle", bundle, "--allow", "L99", "heart pain"]) != 0
    assert "allow: not a key of this label set: 'L99'" in caplog.text
