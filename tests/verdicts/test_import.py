"""Answers of people and of judges from files: by ids, keys and names, and every bad row is told."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io import storage
from tests.verdicts.exchanging import (
    HEX_ID,
    KINDS,
    content,
    doc_key,
    human,
    run_store,
    verdicts,
    write,
)


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


def test_a_bad_row_that_no_file_can_hold_is_kept_as_far_as_it_can(tmp_path, capsys, store) -> None:
    row = {"document": "0" * 32, "label": "1" * 32, "answer": "yes"}
    file = write(tmp_path / "p.jsonl", [{**row, "answer": "half a \ud83d letter"}, row])
    done = verdicts(capsys, "import", store.uri, file)
    assert (done["imported"], done["rejected"]) == ({"human": 1}, 1)
    (reject,) = storage.read_table(done["rejects"]).to_pylist()
    assert '"answer": "half a ? letter"' in reject["raw"]


def test_the_newest_answer_of_people_counts_everywhere(tmp_path, capsys, config) -> None:
    pair = {"doc_id": "d2", "label_key": "L1"}
    for number, answers in enumerate((["yes"], ["yes", "no"])):
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


def test_names_need_a_run_with_prepared_documents(tmp_path, caplog, store, config) -> None:
    out = str(tmp_path / "out.csv")
    assert main(["verdicts", "export", store.uri, out, "--keys"]) == 1
    assert "--keys and --texts need the run's YAML file" in caplog.text
    elsewhere = ["--set", f"run={tmp_path / 'new'}"]
    people = write(tmp_path / "p.csv", [{"doc_id": "d1", "label_key": "L1", "answer": "no"}])
    assert main(["verdicts", "import", str(config), people, *elsewhere]) == 1
    assert "lmtx run --until prepare" in caplog.text


def test_columns_that_tell_nothing_of_an_answer_reject_nothing(tmp_path, capsys, config) -> None:
    late = pa.array([2**62], pa.timestamp("us"))  # beyond what a Python date can be
    table = pa.table({"doc_id": ["d2"], "label_key": ["L1"], "answer": ["yes"], "when": late})
    storage.write_table(str(tmp_path / "p.parquet"), table)
    done = verdicts(capsys, "import", str(config), str(tmp_path / "p.parquet"))
    assert (done["imported"], done["rejected"]) == ({"human": 1}, 0)
    (tmp_path / "p.csv").write_text("doc_id,label_key,answer,note,note\nd3,L1,no,a,b\n")
    assert verdicts(capsys, "import", str(config), str(tmp_path / "p.csv"))["rejected"] == 0
    (tmp_path / "q.csv").write_text("doc_id,label_key,label_key,answer\nd3,L1,L2,no\n")
    assert main(["verdicts", "import", str(config), str(tmp_path / "q.csv")]) == 1
