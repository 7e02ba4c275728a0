"""`lmtx init`: from somebody's files to a config that a plan accepts."""

from __future__ import annotations

import json
import os
import pty
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.loop import judge_choice, running
from lmtx_ray.loop.machine import Machine, this_machine
from tests.cli.processes import PATIENCE_SECONDS
from tests.fake_llm import FakeJudge
from tests.own_files import texts, write_csv, write_documents, write_tags
from tests.small_run import write
from tests.started import start
from tests.tiny import save_judge


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with semicolons, a Latin-1 file, a BOM and odd names of columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_documents(tmp_path / "docs.csv", encoding="cp1252", delimiter=";")
    write_tags(tmp_path / "tags.csv", encoding="utf-8-sig")
    return tmp_path


def init(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[dict, str]:
    """(the last line, what people read)."""
    assert main(["init", "docs.csv", "tags.csv", *more]) == 0
    shown = capsys.readouterr()
    return json.loads(shown.out.splitlines()[-1]), shown.err


def test_two_files_become_a_config_that_is_planned(here: Path, capsys) -> None:
    told, said = init(capsys, "--judge", "none")
    assert (told["documents"], told["labels"]) == (40, 40)
    assert told["columns"]["text"] == "Beschreibung"
    assert told["next"] == "lmtx run my.yaml"
    assert "semicolons, cp1252" in said
    assert "untrained" in said
    assert "held aside" in said
    plan = running.plan("my.yaml")
    assert plan["documents"] == {"train": 32, "held_aside": 8}
    assert (plan["labels"], plan["rejects"], plan["judge"]["calls_at_most"]) == (40, 0, 0)


def test_commands_that_are_named_can_be_pasted(here: Path, capsys) -> None:
    told, said = init(capsys, "--judge", "none", "--out", "my files/the run.yaml")
    assert shlex.split(told["next"]) == ["lmtx", "run", "my files/the run.yaml"]
    assert "--bundle 'runs/the run'" in said


def test_a_config_in_s3_is_refused_before_a_folder_is_called_so(here: Path, caplog) -> None:
    asked = ["init", "docs.csv", "tags.csv", "--judge", "none", "--out", "s3://lake/my.yaml"]
    assert main(asked) == 1
    assert "--out s3://lake/my.yaml: a config is a file of this machine" in caplog.text
    assert not (here / "s3:").exists()


def test_the_config_says_why(here: Path, capsys) -> None:
    init(capsys, "--judge", "none", "--out", "conf/news.yaml")
    text = (here / "conf" / "news.yaml").read_text(encoding="utf-8")
    assert "40 documents" in text
    assert str(this_machine()) in text
    assert yaml.safe_load(text)["run"] == "runs/news"


def test_a_config_that_is_there_stays(here: Path, capsys, caplog) -> None:
    (here / "my.yaml").write_text("mine")
    assert main(["init", "docs.csv", "tags.csv", "--judge", "none", "--yes"]) == 1
    assert "--overwrite" in caplog.text
    assert (here / "my.yaml").read_text() == "mine"
    init(capsys, "--judge", "none", "--overwrite")
    assert "corpus" in (here / "my.yaml").read_text()


def test_who_names_no_judge_is_told_so(here: Path, capsys) -> None:
    told, said = init(capsys)
    assert told["judge"] == "none"
    assert "--judge" in said


def test_a_judge_is_shown_no_more_than_it_reads(here: Path, capsys) -> None:
    settings = Path(save_judge(here / "judge"), "config.json")
    short = {**json.loads(settings.read_text()), "max_position_embeddings": 400}
    settings.write_text(json.dumps(short))
    write_csv(here / "docs.csv", ("id", "text"), [(f"d{n}", "a " * 500 + f"{n}") for n in range(9)])
    init(capsys, "--judge", "judge")
    teacher = yaml.safe_load((here / "my.yaml").read_text())["judge"]["teacher"]
    assert teacher["max_document_tokens"] == 200  # the rest is the label's and the question's


def test_an_endpoint_is_asked_one_question(here: Path, capsys, judge: FakeJudge) -> None:
    told, said = init(capsys, "--judge", judge.url, "--judge-model", "ok")
    assert len(judge.requests) == 1
    assert "it says yes" in said
    teacher = yaml.safe_load((here / "my.yaml").read_text())["judge"]["teacher"]
    assert (teacher["kind"], teacher["url"], teacher["model"]) == ("http", judge.url, "ok")
    assert told["calls_at_most"] == running.plan("my.yaml")["judge"]["calls_at_most"] > 0
    assert told["next"] == "lmtx judge-check my.yaml"


def test_a_key_is_named_and_never_written(
    here: Path, capsys, judge: FakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "good")
    options = ["--judge", judge.url, "--judge-model", "keyed", "--api-key-env", "MY_KEY"]
    _, said = init(capsys, *options)
    text = (here / "my.yaml").read_text()
    assert "api_key_env: MY_KEY" in text
    assert "good" not in text + said.replace("any good here", "")


def test_certificates_that_are_not_there_are_named(
    here: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(here / "absent.pem"))
    url = "https://judge.invalid/v1"
    wanted = ["init", "docs.csv", "tags.csv", "--judge", url, "--judge-model", "m", "--yes"]
    assert main(wanted) == 1
    assert "certificates that SSL_CERT_FILE" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--judge", "{url}"], "--judge-model: say the name of the model"),
        (["--judge", "{url}", "--judge-model", "keyed"], "OPENAI_API_KEY"),
        (["--judge", "http://127.0.0.1:9", "--judge-model", "m"], "http://127.0.0.1:9/v1"),
        (["--judge", "http://a:b@h", "--judge-model", "m"], "without user, password"),
        (["--judge", "/no/model"], "--judge: no such folder: /no/model"),
        (["--judge", "no/model"], "--judge: 'no/model': no folder of that name here"),
        (["--gold", "absent.csv"], "--gold: no such file or folder"),
    ],
)
def test_a_judge_or_file_that_is_not_there_leaves_no_config(
    here: Path, caplog, judge: FakeJudge, options: list[str], message: str
) -> None:
    options = [option.format(url=judge.url) for option in options]
    assert main(["init", "docs.csv", "tags.csv", *options]) == 1
    assert message in caplog.text
    assert "Traceback" not in caplog.text
    assert not (here / "my.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv", "tags.csv"], "DOCS: no such file or folder"),
        (["docs.csv", "absent.csv"], "LABELS: no such file or folder"),
        (["docs.csv", "same.csv"], "set corpus.columns.label_key; it has kind"),
        (["same.csv", "tags.csv"], "set corpus.columns.doc_id; it has kind"),
        (["utf16.csv", "tags.csv"], "is UTF-16; save it as UTF-8"),
        (["docs.csv", "dup.csv"], "duplicate key 'a'"),
    ],
)
def test_files_that_cannot_be_read_are_named(
    here: Path, caplog, arguments: list[str], message: str
) -> None:
    write_csv(here / "same.csv", ["kind"], [["a"], ["a"]])
    write_csv(here / "utf16.csv", ["id", "text"], [["1", "a b"]], encoding="utf-16")
    rows = [[str(n), f"tag {n}"] for n in range(600)] + [["a", "x"], ["a", "y"]]
    write_csv(here / "dup.csv", ["id", "name"], rows)
    assert main(["init", *arguments, "--judge", "none"]) == 1
    assert message in caplog.text
    assert not (here / "my.yaml").exists()


def test_gold_in_the_way_of_the_field_is_tested_on(here: Path, capsys) -> None:
    rows = [{"Nr.": f"t{n}", "Beschreibung": text} for n, (_, text) in enumerate(texts(6))]
    write(here / "gold.jsonl", [{**row, "target_ind": [n]} for n, row in enumerate(rows)])
    told, _ = init(capsys, "--judge", "none", "--gold", "gold.jsonl")
    assert told["test"] == 6
    assert running.plan("my.yaml")["documents"]["test"] == 6


@pytest.mark.parametrize("column", ["No", "Y", "NULL", "On", "Kennung"])
def test_a_column_may_have_a_word_of_yaml_for_a_name(here: Path, capsys, column: str) -> None:
    write_csv(here / "docs.csv", (column, "Text"), [(f"d{n}", f"a text {n}") for n in range(40)])
    told, _ = init(capsys, "--judge", "none")
    assert told["columns"]["doc_id"] == column
    assert yaml.safe_load((here / "my.yaml").read_text())["corpus"]["columns"]["doc_id"] == column
    assert running.plan("my.yaml")["documents"]["train"] == 32


@pytest.mark.parametrize("names", [("doc_id", "labels"), ("Nr", "Schlagwörter")])
def test_gold_of_the_documents_stands_in_the_config(here: Path, capsys, names) -> None:
    write_csv(here / "gold.csv", names, [(f"d{n}", f"{n}") for n in range(20)], encoding="cp1252")
    write_csv(here / "docs.csv", ("Nr", "Text"), [(f"d{n}", f"a text {n}") for n in range(40)])
    write_csv(here / "tags.csv", ("id", "name"), [(f"{n}", f"tag {n}") for n in range(20)])
    told, said = init(capsys, "--judge", "none", "--gold", "gold.csv")
    assert told["test"] == 20
    assert "20 documents with gold labels" in said
    plan = running.plan("my.yaml")
    assert plan["gold"] == plan["documents"]["test"] == 20


def test_what_is_odd_is_noted(here: Path, capsys) -> None:
    rows = [(f"d{n}", title, text) for n, (title, text) in enumerate(texts(20))]
    rows += [("d1", "again", "an id that was there"), ("d99", *rows[3][1:])]
    write_csv(here / "docs.csv", ("id", "title", "text"), rows)
    write_csv(here / "tags.csv", ("id", "name"), [["1", "heart"], ["2", "Heart"], ["3", "lung"]])
    _, said = init(capsys, "--judge", "none")
    assert "1 rows cannot be read or repeat an id" in said
    assert "have a text that was there before" in said
    assert "1 labels are called like another one" in said


def test_texts_without_spaces_are_not_taken_for_short_ones(here: Path, capsys) -> None:
    rows = [(f"d{n}", "心臓病" * 40 + str(n)) for n in range(20)]
    write_csv(here / "docs.csv", ("id", "text"), rows)
    init(capsys, "--judge", "none")
    assert yaml.safe_load((here / "my.yaml").read_text())["encoder"]["max_tokens"] > 120


def test_somebody_at_a_terminal_is_asked(here: Path, judge: FakeJudge) -> None:
    """Menu, address, variable and name, typed in a pseudo-terminal."""
    mine, theirs = pty.openpty()
    command = [sys.executable, "-m", "lmtx_ray.cli", "init", "docs.csv", "tags.csv"]
    try:
        process = start(command, stdin=theirs, stderr=theirs, cwd=here, env=os.environ.copy())
        os.write(mine, f"1\n{judge.url}\n\nok\n".encode())
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        os.close(theirs)
        os.close(mine)
    assert process.returncode == 0
    assert json.loads(out)["judge"] == "http"
    assert "model: ok" in (here / "my.yaml").read_text()


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine(2, 7.5), {"actors": 1, "cpus": 2}),
        (Machine(16, 64.0), {"actors": 4, "cpus": 4}),
        (Machine(16, 64.0, ("A GPU", "A GPU")), {"actors": 2, "cpus": 1, "gpus": 1}),
    ],
)
def test_a_machine_is_used_as_it_is(
    here: Path, capsys, monkeypatch: pytest.MonkeyPatch, machine: Machine, expected: dict
) -> None:
    monkeypatch.setattr("lmtx_ray.loop.machine.this_machine", lambda: machine)
    init(capsys, "--judge", "none")
    values = yaml.safe_load((here / "my.yaml").read_text())
    assert values["resources"]["embed"] == expected


def test_files_on_s3_are_looked_at(here: Path, capsys, place: str) -> None:
    from lmtx_ray.io import storage

    for name in ("docs.csv", "tags.csv"):
        storage.put_file(here / name, f"{place}/{name}")
    arguments = ["init", f"{place}/docs.csv", f"{place}/tags.csv", "--judge", "none"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["documents"] == 40


def test_served_models_are_none_where_nothing_answers() -> None:
    assert judge_choice.served_models("http://127.0.0.1:9", "") == []


def test_of_very_much_only_the_first_is_counted(
    here: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmtx_ray.loop.first_look.MOST_BYTES", 100)
    monkeypatch.setattr("lmtx_ray.loop.first_look.MOST_COUNTED", 10)
    told, said = init(capsys, "--judge", "none")
    assert told["documents"] == 10
    assert "only the first 10 documents were counted" in said
    assert "limit" not in (here / "my.yaml").read_text()


def test_other_languages_want_another_encoder(here: Path, capsys) -> None:
    text = "Die Studie zeigt, dass es nicht für alle gilt und mit der Zeit auch nicht besser wird"
    rows = [(f"d{n}", f"Bericht {n}", f"{text}, wie Nummer {n}.") for n in range(20)]
    write_csv(here / "docs.csv", ("Nr.", "Titel", "Inhalt"), rows)
    told, said = init(capsys, "--judge", "none")
    assert told["languages"] == {"German": 1.0}
    assert "paraphrase-multilingual" in said  # which nobody can fetch here, and a note says so
    made = yaml.safe_load((here / "my.yaml").read_text())
    assert made["shortlist"] == {"languages": ["de"]}


def test_labels_that_a_folder_of_documents_holds_are_told(here: Path, caplog) -> None:
    (here / "data").mkdir()
    for name in ("docs.csv", "tags.csv"):
        (here / name).rename(here / "data" / name)
    assert main(["init", "data", "data/tags.csv", "--judge", "none", "--yes"]) == 0
    running.plan("my.yaml")
    assert f"{here}/data/tags.csv lies in data, and is read as documents too" in caplog.text
