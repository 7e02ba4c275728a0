"""Verdicts to files and back: nothing is lost, nothing counts twice, and people have the last
word."""

from __future__ import annotations

import json

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.config.loading import load_config
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.record import write_record
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.verdicts.layers import merge
from lmtx_ray.verdicts.reading import stats
from lmtx_ray.verdicts.store import Partition, VerdictStore
from tests.verdicts.exchanging import (
    KINDS,
    content,
    doc_key,
    human,
    run_store,
    verdicts,
    write,
)
from tests.verdicts.rows import stored

AWKWARD = 'She said: "no, yes"\nor; not\r\n\té \U0001f600'


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


@pytest.mark.parametrize("given", ["store", "./store", "store/", "file://{here}//store"])
def test_a_store_is_found_however_its_folder_is_written(
    tmp_path, capsys, monkeypatch, store, given: str
) -> None:
    store.partition("t", "p").append(stored([(1, 1), (2, 1)]), "a")
    monkeypatch.chdir(tmp_path)
    place = given.format(here=tmp_path)
    assert VerdictStore(place).judges() == ["t-p"]
    assert verdicts(capsys, "stats", place)["judges"][0]["verdicts"] == 2
    assert verdicts(capsys, "export", place, "out.csv")["verdicts"] == 2
    assert verdicts(capsys, "merge", place)["merged"] == 1


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


@pytest.mark.parametrize("action", [["stats"], ["export", "out.csv"], ["merge"]])
def test_a_place_without_a_store_is_not_an_empty_one(
    tmp_path, caplog, monkeypatch, action: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    for place in ("absent", "other"):
        caplog.clear()
        assert main(["verdicts", action[0], place, *action[1:]]) == 1
        assert f"{tmp_path / place}: no verdict store" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_folder_of_a_run_means_its_store(tmp_path, capsys, caplog, config) -> None:
    run = load_config(RunConfig, str(config))
    write_record(run)
    row = {"document": "0" * 32, "label": "1" * 32, "answer": "yes"}
    people = write(tmp_path / "people.jsonl", [row])
    done = verdicts(capsys, "import", run.run, people)
    assert done["store"] == run.verdict_store.uri
    assert [one["judge"] for one in verdicts(capsys, "stats", run.run)["judges"]] == ["human"]
    assert not (tmp_path / "run/judges").exists()
    judge = run.judge.model_copy(update={"store": str(tmp_path / "shared")})
    write_record(run.model_copy(update={"judge": judge}))
    assert main(["verdicts", "stats", run.run]) == 1
    assert f"name one: {run.verdict_store.uri}, {tmp_path / 'shared'}" in caplog.text
