"""What people say of tags becomes verdicts: rows that the store's own import takes."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import document_text, text_key
from lmtx_ray.verdicts.reading import read_all
from lmtx_ray.verdicts.store import VerdictStore
from serve_apps import running
from serve_apps.feedback import Keeper
from serve_apps.feedback_contracts import FeedbackRow
from serve_apps.guard import GuardSettings, new_key, parse_keys
from tests.serving.contract_app import LABELS, contract_app
from tests.serving.sending import send

SECRET, LINE = new_key("anna")
TITLED = {"id": "a1", "title": "Chest  pain", "text": "after\nexercise"}
SAID = [{"key": "C14.280", "answer": "yes"}, {"key": "E02", "answer": "no"}]
DOCUMENTS = [
    {**TITLED, "answers": SAID},
    {"text": "Secret words", "answers": [{"key": "C10", "answer": "no"}]},
]


def ask(documents: list[dict[str, Any]], keeper: Keeper | None = None) -> Any:
    settings = GuardSettings(keys=parse_keys([LINE], "test"))
    api = contract_app(settings, keeper=keeper)
    body = json.dumps({"documents": documents})
    return send(body, "/v1/feedback", api=api, headers={"X-API-Key": SECRET})


def test_rows_are_verdicts_of_people_to_the_store(tmp_path: Path) -> None:
    reply = ask(DOCUMENTS)
    assert (reply.status_code, reply.json()["kept"]) == (200, False)
    rows = reply.json()["rows"]
    file = tmp_path / "feedback.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["verdicts", "import", str(tmp_path / "store"), str(file)]) == 0
    partition = VerdictStore(str(tmp_path / "store")).partition(HUMAN, "")
    kept = [row for table in read_all(partition) for row in table.to_pylist()]
    titled = text_key(document_text(TITLED["title"], TITLED["text"]))
    other = text_key(document_text(None, "Secret words"))
    assert {(row["document"], row["label"], row["answer"]) for row in kept} == {
        (titled, text_key(LABELS["C14.280"]), "yes"),
        (titled, text_key(LABELS["E02"]), "no"),
        (other, text_key(LABELS["C10"]), "no"),
    }
    assert {row["source"] for row in rows} == {"feedback:anna"}
    assert "Secret" not in reply.text


def test_the_service_keeps_them_where_it_is_told_to(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path / "said"), "replica-1")
    for _ in range(2):
        assert ask(DOCUMENTS, keeper).json()["kept"] is True
    (file,) = (tmp_path / "said").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["doc_id"] for row in rows] == ["a1", "a1", ""] * 2
    assert rows[0]["label_text"] == "Heart Diseases"
    assert "Secret" not in file.read_text()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is nearly full: a write beyond it writes what still fits, and says so."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_rows_for_which_the_disk_has_no_room_are_not_called_kept(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path), "replica-1")
    rows = [FeedbackRow(**row) for row in ask(DOCUMENTS, keeper).json()["rows"]]
    (file,) = tmp_path.iterdir()
    with files_of_at_most(file.stat().st_size + 100), pytest.raises(OSError, match="No space"):
        keeper.keep(rows)
    assert keeper.keep(rows)
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert kept == [row.model_dump() for row in rows] * 2


def test_an_answer_is_about_the_text_that_was_shown() -> None:
    """The label was renamed, or removed, between the tags and the answers."""
    shown = [
        {"key": "C10", "label": "Nerve Diseases", "answer": "no"},
        {"key": "gone", "label": "Old Name", "answer": "yes"},
    ]
    reply = ask([{"text": "a", "answers": shown}])
    assert reply.status_code == 200
    rows = reply.json()["rows"]
    assert [row["label"] for row in rows] == [text_key(one["label"]).hex() for one in shown]
    assert [row["label_text"] for row in rows] == ["Nerve Diseases", "Old Name"]
    assert reply.json()["problems"] == []


def test_a_label_that_nobody_knows_costs_no_other_answer(tmp_path: Path) -> None:
    answers = [{"key": key, "answer": "no"} for key in ("C10", "gone", "E02")]
    keeper = Keeper(str(tmp_path), "replica-1")
    reply = ask([*DOCUMENTS, {"text": "a", "answers": answers}], keeper).json()
    assert [row["label_key"] for row in reply["rows"]][-2:] == ["C10", "E02"]
    loc = ["body", "documents", 2, "answers", 1, "key"]
    assert reply["problems"] == [{"loc": loc, "msg": "no label has this key"}]
    (file,) = tmp_path.iterdir()
    assert [json.loads(line) for line in file.read_text().splitlines()] == reply["rows"]


@pytest.mark.parametrize(
    ("answers", "loc", "said"),
    [
        ([{"key": "Z", "answer": "no"}], ["answers", 0, "key"], "no label has this key"),
        (
            [{"key": "C10", "answer": "?"}],
            ["answers", 0, "answer"],
            "Input should be 'yes' or 'no'",
        ),
        (
            [{"key": "C10", "label": "", "answer": "no"}],
            ["answers", 0, "label"],
            "String should have at least 1 character",
        ),
        ([], ["answers"], "List should have at least 1 item after validation, not 0"),
    ],
)
def test_what_is_no_answer_is_refused_by_its_place(
    answers: list[dict[str, str]], loc: list[Any], said: str
) -> None:
    reply = ask([{"text": "a", "answers": answers}])
    assert reply.status_code == 422
    assert reply.json()["detail"] == [{"loc": ["body", "documents", 0, *loc], "msg": said}]


def test_a_folder_that_cannot_keep_answers_is_refused_before_anybody_answers(
    bundle: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run_blocking", lambda *_: None)
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "answers")
    assert main(["serve", "--bundle", bundle, "--feedback-dir", folder]) == 1
    assert f"--feedback-dir: {tmp_path / 'file'} is a file, not a folder" in caplog.text
