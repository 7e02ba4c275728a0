"""What people say of tags becomes verdicts: rows that the store's own import takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import document_text, text_key
from lmtx_ray.verdicts.reading import read_all
from lmtx_ray.verdicts.store import VerdictStore
from serve_apps.feedback import Keeper
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


@pytest.mark.parametrize(
    ("answers", "loc", "said"),
    [
        ([{"key": "Z", "answer": "no"}], ["answers", 0, "key"], "no label has this key"),
        (
            [{"key": "C10", "answer": "?"}],
            ["answers", 0, "answer"],
            "Input should be 'yes' or 'no'",
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
