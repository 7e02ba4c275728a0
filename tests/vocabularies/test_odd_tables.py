"""Tables as programs and people write them: their form changes nothing in a label."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.vocabularies.asked import Asked
from lmtx_ray.vocabularies.importing import Imported, import_labels

Take = Callable[..., tuple[list[tuple], Imported]]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def run(files: str, data: str | bytes | Mapping[str, str], **asked: object):
        """(key, text and further fields of each label, the import) of a file or a folder."""
        one = {files: data} if isinstance(data, str | bytes) else data
        for name, content in one.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        output = str(tmp_path / "out.parquet")
        made = import_labels(str(tmp_path / files), output, Asked(**asked), overwrite=True)
        table = pq.read_table(output).drop_columns(["label_id"])
        return [tuple(row.values()) for row in table.to_pylist()], made

    return run


def rejected(made: Imported) -> list[tuple[int, str]]:
    if not made.rejects:
        return []
    lines = Path(made.rejects).read_text(encoding="utf-8").splitlines()
    return [(row["position"], row["reason"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("name", "data", "columns"),
    [
        ("l.csv", ",id,label\n0,D1,Dogs\n1,D2,Cats\n", {}),
        ("l.tsv", "\tid\tlabel\n0\tD1\tDogs\n1\tD2\tCats\n", {}),
        ("l.csv", "id,label,\nD1,Dogs,x\nD2,Cats,y\n", {"description": ""}),
        ("l.jsonl", '{"": 0, "id": "D1", "label": "Dogs"}\n{"id": "D2", "label": "Cats"}\n', {}),
    ],
)
def test_a_column_without_a_name_is_part_of_no_label(
    take: Take, name: str, data: str, columns: Mapping[str, str]
) -> None:
    labels, _ = take(name, data, columns=columns)
    assert labels == [("D1", "Dogs", None, None, None), ("D2", "Cats", None, None, None)]


def test_a_column_without_a_name_may_hold_the_keys(take: Take) -> None:
    labels, _ = take("l.csv", ",label\n7,Dogs\n8,Cats\n")
    assert [label[:2] for label in labels] == [("7", "Dogs"), ("8", "Cats")]


def test_an_array_with_broken_json_is_an_error_and_no_smaller_vocabulary(
    take: Take, tmp_path: Path
) -> None:
    items = [f'{{"id": "{n}", "label": "label {n}"}}' for n in range(6)]
    items[2] = '{"id": "2", "label": "open}'
    with pytest.raises(CorpusError, match=r"l\.json row 3: not JSON, the rest is lost"):
        take("l.json", f"[{','.join(items)}]")
    assert not (tmp_path / "out.parquet").exists()


def test_a_key_that_repeats_names_the_file_where_it_was_first(take: Take, tmp_path: Path) -> None:
    files = {"many/a.csv": "id,name\n1,x\n", "many/b.csv": "id,name\n2,y\n1,z\n2,y\n"}
    _, made = take("many", files)
    assert rejected(made) == [
        (3, f"duplicate key '1', first in {tmp_path}/many/a.csv row 2"),
        (4, "duplicate key '2', first in row 2"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "keys", "bad"),
    [
        ("l.csv", b"1,Do\0g\n\n\xff,\xff\xfe\n4,Cat\n5,Fish\n", ["4", "5"], [1, 3]),
        ("l.tsv", "1\tDo\0g\n2\tCat\n3\tFish\tx\n4\tBird\n", ["2", "4"], [1, 3]),
        ("l.csv", '"1\n2",Cat\n3,Fish\n', ["1\n2", "3"], []),
        ("l.csv", '1,"open\n2,Cat\n', ["2"], [1]),
    ],
)
def test_no_row_of_a_table_without_a_header_is_lost(
    take: Take, name: str, data: str | bytes, keys: list[str], bad: list[int]
) -> None:
    labels, made = take(name, data, header=False, encoding="utf-8")
    assert [label[0] for label in labels] == keys
    assert [position for position, _ in rejected(made)] == bad


@pytest.mark.parametrize("name", ["l.csv.gz", "l.jsonl.gz", "l.txt.gz"])
def test_a_damaged_compressed_file_is_named(take: Take, name: str) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d,label %d\n" % (n, n) for n in range(2000))))
    packed[12:40] = bytes(byte ^ 0xFF for byte in packed[12:40])
    with pytest.raises(CorpusError, match=f"{name}: damaged compressed file"):
        take(name, bytes(packed))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("l.csv", '"http://x.org/1","Dogs"\n"http://x.org/2,3","Cats"\n'),
        ("l.csv", '"http://x.org/1";Dogs\n"http://x.org/2,3";Cats\n'),
        ("l.csv", "http://x.org/1|Dogs\nhttp://x.org/2,3|Cats\n"),
        ("l.tsv", '"<http://x.org/1>"\t"Dogs"\n"<http://x.org/2,3>"\t"Cats"\n'),
    ],
)
def test_a_first_line_that_begins_with_an_address_is_a_label(
    take: Take, name: str, data: str
) -> None:
    labels, _ = take(name, data)
    assert [label[:2] for label in labels] == [
        ("http://x.org/1", "Dogs"),
        ("http://x.org/2,3", "Cats"),
    ]


def test_a_table_of_addresses_alone_keeps_the_first(take: Take) -> None:
    labels, _ = take("l.csv", "http://x.org/1\nhttp://x.org/2\n")
    assert [label[0] for label in labels] == ["http://x.org/1", "http://x.org/2"]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("l.txt", "Asia->Japan\nAsia->China\n", ["Asia->Japan", "Asia->China"]),
        ("l.txt", "0 -> Japan\n# more\n1->China\n", [("0", "Japan"), "# more", ("1", "China")]),
        ("l.txt", "1->2 players\nsolo\n", ["1->2 players", "solo"]),
        ("l.txt", "7->Dogs\n\n8->Cats->black\n", [("7", "Dogs"), ("8", "Cats->black")]),
        ("Yf.txt", "B0A->Skirt\nB0B->Ball\n", [("0", "Skirt"), ("1", "Ball")]),
        ("lbl.raw.txt", "A->B\nBall\nBall\n", [("0", "A->B"), ("1", "Ball"), ("2", "Ball")]),
    ],
)
def test_an_arrow_cuts_the_lines_of_xmc_sets_alone(
    take: Take, name: str, data: str, expected: list
) -> None:
    labels, _ = take(name, data)
    pairs = [one if isinstance(one, tuple) else (one, one) for one in expected]
    assert [label[:2] for label in labels] == pairs


def test_one_object_of_all_labels_is_not_one_label(take: Take) -> None:
    with pytest.raises(
        CorpusError, match=r"id2label\.json: a JSON object without a key; labels are"
    ):
        take("id2label.json", '{"0": "cats", "1": "dogs"}')
    labels, _ = take("l.json", '{\n"notation": "A",\n"name": "x"}\n', columns={"key": "notation"})
    assert [label[:2] for label in labels] == [("A", "x")]


def test_columns_that_no_label_needs_may_repeat_or_hold_anything(
    take: Take, tmp_path: Path
) -> None:
    labels, _ = take("l.csv", "id,label,note,note\n1,Dogs,a,b\n")
    assert labels == [("1", "Dogs", None, None, None)]
    with pytest.raises(CorpusError, match="column 'note' is there more than once"):
        take("l.csv", "id,label,note,note\n1,Dogs,a,b\n", columns={"description": "note"})
    late = pa.array([2**62] * 2, pa.timestamp("us"))  # beyond what a Python date can be
    table = pa.table({"id": ["1", "2"], "label": ["Dogs", "Cats"], "modified": late})
    pq.write_table(table, tmp_path / "l.parquet")
    labels, made = take("l.parquet", (tmp_path / "l.parquet").read_bytes())
    assert ([label[:2] for label in labels], made.rejects) == ([("1", "Dogs"), ("2", "Cats")], "")
