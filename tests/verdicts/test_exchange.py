"""Verdicts to files and back: nothing is lost, nothing counts twice, and people have the last
word."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.config.loading import load_config
from lmtx_ray.corpus.text_keys import document_text, text_key
from lmtx_ray.io import storage
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.prepare import prepare
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.verdicts.layers import merge
from lmtx_ray.verdicts.reading import read_all, stats
from lmtx_ray.verdicts.store import Partition, VerdictStore
from tests.verdicts.rows import stored

HEX_ID = "d" * 32  # an id that could be a hash
AWKWARD = 'She said: "no, yes"\nor; not\r\n\té \U0001f600'
KINDS = ("parquet", "jsonl", "csv")


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(str(tmp_path / "store"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run with prepared documents: d0 and d1 have one text, one id looks like a hash."""
    rows = [{"uid": f"d{n}", "title": "Study", "content": f"text {max(n, 1)}"} for n in range(6)]
    rows.append({"uid": HEX_ID, "title": None, "content": "text of hex"})
    labels = [{"uid": f"L{n}", "title": f"label {n}"} for n in range(3)]
    for name, part in (("documents", rows), ("labels", labels)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    values = {
        "run": str(tmp_path / "run"),
        "encoder": {"model": "some/encoder"},
        "corpus": {
            "documents": [str(tmp_path / "documents.jsonl")],
            "held_aside": 1,
            "labels": str(tmp_path / "labels.jsonl"),
        },
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    loaded = load_config(RunConfig, str(path))
    prepare(loaded, lay_out(loaded))
    return path


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return str(path)


def verdicts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["verdicts", *arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def content(partition: Partition) -> list[dict[str, Any]]:
    return [row for table in read_all(partition) for row in table.to_pylist()]


def run_store(config: Path) -> VerdictStore:
    return load_config(RunConfig, str(config)).verdict_store


def human(store: VerdictStore) -> list[tuple[bytes, bytes, str]]:
    return [(row["document"], row["label"], row["answer"]) for row in content(store.human())]


def doc_key(number: int) -> bytes:
    return text_key(document_text("Study", f"text {number}"))


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_survive_a_file_of_every_format(tmp_path, capsys, store, kind: str) -> None:
    judge = store.partition("t", "p")
    judge.append(stored([(n, n % 3) for n in range(30)], p_yes=0.1), "a")
    judge.append(stored([(50, 1)], None, answer="unclear", raw=AWKWARD), "b")
    other = store.partition("u", "p")
    other.append(stored([(1, 1)], teacher="u", answer="no"), "a")
    merge(other)
    file = str(tmp_path / f"out.{kind}")
    assert verdicts(capsys, "export", store.uri, file)["verdicts"] == 32
    fresh = VerdictStore(str(tmp_path / "fresh"))
    done = verdicts(capsys, "import", fresh.uri, file)
    assert (done["imported"], done["rejected"]) == ({"t": 31, "u": 1}, 0)
    for before in (judge, other):
        got = content(Partition(before.uri.replace(store.uri, fresh.uri)))
        for row in got if kind == "csv" else []:  # whose line ends are those of the file
            row["raw"] = AWKWARD if row["raw"] else None
        assert got == content(before)
    verdicts(capsys, "import", fresh.uri, file)
    assert [entry["verdicts"] for entry in stats(fresh)] == [31, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_of_a_run_names_documents_and_labels(tmp_path, capsys, config, kind) -> None:
    answers = [
        {"doc_id": "d0", "label_key": "L2", "answer": "yes"},
        {"doc_id": "d4", "label_key": "L0", "answer": "no"},
    ]
    verdicts(capsys, "import", str(config), write(tmp_path / "people.jsonl", answers))
    run_store(config).human().append(stored([(99, 99)], None, teacher="human"), "000000")
    out = tmp_path / f"out.{kind}"
    assert verdicts(capsys, "export", str(config), str(out), "--texts")["verdicts"] == 3
    again = VerdictStore(str(tmp_path / "fresh"))
    verdicts(capsys, "import", again.uri, str(out))  # a store alone, as the hashes are there
    assert human(again) == sorted(
        [(doc_key(1), text_key("label 2"), "yes"), (doc_key(4), text_key("label 0"), "no")]
    )
    if kind == "jsonl":
        rows = sorted(
            (json.loads(line) for line in out.read_text().splitlines()),
            key=lambda row: row["doc_id"],
        )
        assert [(row["doc_id"], row["label_key"], row["answer"]) for row in rows] == [
            ("d0", "L2", "yes"),
            ("d1", "L2", "yes"),
            ("d4", "L0", "no"),
        ]
        assert (rows[0]["document_text"], rows[0]["label_text"]) == ("Study. text 1", "label 2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("doc_id", "label_key"), ("document", "label")])
def test_answers_of_people_are_taken_by_ids_and_keys(
    tmp_path, capsys, config, kind: str, names: tuple[str, str]
) -> None:
    rows = [
        dict(zip((*names, "answer"), row, strict=True))
        for row in [("d2", "L1", "Yes"), ("d3", "L1", " no "), (HEX_ID, "L0", "yes")]
    ]
    file = write(tmp_path / f"people.{kind}", rows)
    done = verdicts(capsys, "import", str(config), file)
    assert (done["imported"], done["rejected"], done["rejects"]) == ({"human": 3}, 0, None)
    store = run_store(config)
    assert human(store) == sorted(
        [
            (doc_key(2), text_key("label 1"), "yes"),
            (doc_key(3), text_key("label 1"), "no"),
            (text_key("text of hex"), text_key("label 0"), "yes"),
        ]
    )
    assert store.judges() == ["human"]
    identity = store.human_identity()
    assert verdicts(capsys, "import", str(config), file)["imported"] == {"human": 0}
    assert store.human_identity() == identity


def test_names_of_labels_and_hashes_are_understood_beside_ids(tmp_path, capsys, config) -> None:
    rows = [
        {"document": doc_key(2).hex(), "label": text_key("label 1").hex(), "answer": "no"},
        {"document": doc_key(3).hex(), "label_text": "label 2", "answer": "yes"},
        {"doc_id": "d4", "label_text": "label 0", "answer": "yes"},
    ]
    done = verdicts(capsys, "import", str(config), write(tmp_path / "p.jsonl", rows))
    assert (done["imported"], done["rejected"]) == ({"human": 3}, 0)
    assert human(run_store(config)) == sorted(
        [
            (doc_key(n), text_key(f"label {m}"), answer)
            for n, m, answer in ((2, 1, "no"), (3, 2, "yes"), (4, 0, "yes"))
        ]
    )


BAD = {
    "field 'answer' is 'maybe'": {"doc_id": "d1", "label_key": "L1", "answer": "maybe"},
    "field 'answer' is 'unclear'": {"doc_id": "d1", "label_key": "L1", "answer": "unclear"},
    "field 'answer' is None": {"doc_id": "d1", "label_key": "L1"},
    "no document 'd99' (doc_id) in this run": {"doc_id": "d99", "label_key": "L1", "answer": "no"},
    "no label 'L9' (label_key) in this run": {"doc_id": "d1", "label_key": "L9", "answer": "no"},
    "missing field 'label'": {"doc_id": "d1", "answer": "no"},
    "missing field 'document'": {"label_key": "L1", "answer": "no"},
    "7 is no number between 0 and 1": {
        "doc_id": "d1",
        "label_key": "L1",
        "answer": "no",
        "p_yes": 7,
        "teacher": "t",
        "prompt": "p",
    },
    "field 'prompt'": {"doc_id": "d1", "label_key": "L1", "answer": "no", "teacher": "t"},
    "field 'teacher' is '../../x'": {
        "doc_id": "d1",
        "label_key": "L1",
        "answer": "no",
        "teacher": "../../x",
        "prompt": "p",
    },
}


def test_every_bad_row_is_kept_with_position_and_reason(tmp_path, capsys, config) -> None:
    good = {"doc_id": "d5", "label_key": "L0", "answer": "yes"}
    file = Path(write(tmp_path / "p.jsonl", [*BAD.values(), good]))
    file.write_text(file.read_text() + "no json\n[1]\n")
    done = verdicts(capsys, "import", str(config), str(file))
    assert (done["imported"], done["rejected"]) == ({"human": 1}, len(BAD) + 2)
    rejects = storage.read_table(done["rejects"]).to_pylist()
    for row, (position, reason) in zip(rejects, enumerate(BAD, start=1), strict=False):
        assert row["position"] == position
        assert reason in row["reason"]
        assert row["source"] == str(file)
        assert str(BAD[reason].get("doc_id", "L1")) in row["raw"]
    assert [row["position"] for row in rejects[-2:]] == [len(BAD) + 2, len(BAD) + 3]
    assert sorted(path.name for path in (tmp_path / "run/verdict-store").iterdir()) == [
        "judges",
        "rejects",
    ]
    assert run_store(config).judges() == ["human"]


def test_a_file_without_a_good_row_is_an_error_that_shows_one(tmp_path, caplog, config) -> None:
    bad = write(tmp_path / "p.csv", [BAD["no document 'd99' (doc_id) in this run"]])
    assert main(["verdicts", "import", str(config), bad]) == 1
    assert "no verdict to import: row 2: no document 'd99'" in caplog.text
    assert main(["verdicts", "import", str(config), str(tmp_path / "absent.csv")]) == 1
    assert "absent.csv" in caplog.text
    (tmp_path / "q.csv").write_text("doc_id,label_key\nd1,L1\n")
    assert main(["verdicts", "import", str(config), str(tmp_path / "q.csv")]) == 1
    assert "no column 'answer'" in caplog.text


def test_text_that_no_file_can_hold_harms_no_other_row(tmp_path, capsys, store) -> None:
    row = {
        "document": "0" * 32,
        "label": "1" * 32,
        "answer": "unclear",
        "teacher": "t",
        "prompt": "p",
        "raw": "half a \ud83d letter",
    }
    file = write(tmp_path / "p.jsonl", [row, {**row, "label": "2" * 32, "raw": "whole"}])
    assert verdicts(capsys, "import", store.uri, file)["imported"] == {"t": 2}
    raws = [row["raw"] for row in content(store.partition("t", "p"))]
    assert raws == ["half a ? letter", "whole"]


def test_the_newest_answer_of_people_counts_everywhere(tmp_path, capsys, config) -> None:
    pair = {"doc_id": "d2", "label_key": "L1"}
    for number, answers in enumerate((["yes"], ["no", "yes", "no"])):
        rows = [{**pair, "answer": answer} for answer in answers]
        verdicts(capsys, "import", str(config), write(tmp_path / f"{number}.csv", rows))
    store = run_store(config)
    assert human(store) == [(doc_key(2), text_key("label 1"), "no")]
    (entry,) = verdicts(capsys, "stats", str(config))["judges"]
    assert (entry["judge"], entry["verdicts"], entry["no"]) == ("human", 1, 1)
    for more in ((), ("--keys",)):
        out = tmp_path / "out.jsonl"
        verdicts(capsys, "export", str(config), str(out), *more)
        assert [json.loads(line)["answer"] for line in out.read_text().splitlines()] == ["no"]
    verdicts(capsys, "import", str(config), write(tmp_path / "2.csv", [{**pair, "answer": "yes"}]))
    assert human(store)[0][2] == "yes"


def test_stats_count_each_pair_once_with_what_the_judge_is(capsys, store) -> None:
    judge = store.partition("t", "p")
    judge.append(stored([(1, 1), (2, 1)], p_yes=0.9), "a")
    judge.append(stored([(2, 1)], p_yes=0.2, answer="no"), "b")  # asked twice: the first counts
    judge.append(stored([(3, 1)], p_yes=None, answer="unclear"), "c")
    judge.describe({"kind": "http", "model": "some-model"})
    (entry,) = verdicts(capsys, "stats", store.uri)["judges"]
    assert entry == {
        "judge": "t-p",
        "verdicts": 3,
        "yes": 2,
        "no": 0,
        "unclear": 1,
        "mass": 1.0,
        "about": {"kind": "http", "model": "some-model"},
    }
    assert verdicts(capsys, "merge", store.uri)["merged"] == 1
    assert verdicts(capsys, "merge", store.uri)["merged"] == 0
    assert verdicts(capsys, "stats", store.uri)["judges"] == [entry]


def test_only_the_runs_own_judge_is_exported_unless_all_are_wanted(
    tmp_path, capsys, config
) -> None:
    store = run_store(config)
    prompt, teacher = lay_out(load_config(RunConfig, str(config))).judge
    mine = stored([(1, 1)], teacher=teacher, prompt=prompt)
    store.partition(teacher, prompt).append(mine, "a")
    store.partition("other", "p").append(stored([(1, 1), (2, 1)], teacher="other"), "a")
    out = str(tmp_path / "out.parquet")
    assert verdicts(capsys, "export", str(config), out)["verdicts"] == 1
    assert verdicts(capsys, "export", str(config), out, "--all-judges")["verdicts"] == 3
    assert verdicts(capsys, "export", store.uri, out)["verdicts"] == 3


@pytest.mark.parametrize("name", ["s3://lake/out.jsonl", "out.txt", "out.csv.gz", "out"])
def test_a_place_that_verdicts_are_not_written_to_is_refused(
    tmp_path, caplog, monkeypatch, store, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    store.partition("t", "p").append(stored([(1, 1)]), "a")
    assert main(["verdicts", "export", store.uri, name]) == 1
    assert name in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_names_need_a_run_with_prepared_documents(tmp_path, caplog, store, config) -> None:
    out = str(tmp_path / "out.csv")
    assert main(["verdicts", "export", store.uri, out, "--keys"]) == 1
    assert "--keys and --texts need the run's YAML file" in caplog.text
    elsewhere = ["--set", f"run={tmp_path / 'new'}"]
    people = write(tmp_path / "p.csv", [{"doc_id": "d1", "label_key": "L1", "answer": "no"}])
    assert main(["verdicts", "import", str(config), people, *elsewhere]) == 1
    assert "lmtx run --until prepare" in caplog.text
