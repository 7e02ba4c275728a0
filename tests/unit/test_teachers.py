"""Answers from log-probabilities and from text, prompts, and a teacher behind HTTP."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.config import ConfigError
from lmtx_ray.teacher import http
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.parsing import from_log_probabilities, from_text
from lmtx_ray.teacher.prompts import PROMPTS, get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig
from lmtx_ray.teacher.registry import build_teacher


@pytest.mark.parametrize(
    ("yes", "no", "answer", "p_yes"),
    [
        (math.log(0.6), math.log(0.2), "yes", 0.75),
        (-1.0, -1.0, "no", 0.5),  # a tie is not an acceptance
        (-2000.0, 0.0, "no", 0.0),
        (0.0, -math.inf, "yes", 1.0),
        (-math.inf, -math.inf, "unclear", None),
        (None, -1.0, "unclear", None),
        (math.nan, -1.0, "unclear", None),
    ],
)
def test_two_log_probabilities_make_one_answer(yes, no, answer, p_yes) -> None:
    got = from_log_probabilities(yes, no)
    assert got[0] == answer
    assert got[1] == (None if p_yes is None else pytest.approx(p_yes))


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Yes.", "yes"), ("  no", "no"), ("NO!", "no"), ("nothing", "unclear"), ("", "unclear"),
     ("yes and no", "unclear"), ("I cannot say", "unclear")],
)  # fmt: skip
def test_replies_are_read_by_whole_words(text: str, answer: str) -> None:
    assert from_text(text) == answer


@given(st.text())
def test_every_reply_has_an_answer(text: str) -> None:
    assert from_text(text) in {"yes", "no", "unclear"}


def test_a_teacher_without_a_model_is_the_same_in_every_folder(tmp_path, monkeypatch) -> None:
    config = TeacherConfig(kind="lexical", prompt="tag")
    before = teacher_identity(config)
    (tmp_path / "notes.txt").write_text("in the working folder, no file of a model")
    monkeypatch.chdir(tmp_path)
    assert teacher_identity(config) == before


def test_prompts_are_told_apart_and_unknown_ones_named() -> None:
    assert len({prompt.fingerprint for prompt in PROMPTS.values()}) == len(PROMPTS) == 10
    with pytest.raises(ConfigError, match=r"no prompt 'nice'; known: tag, product_tag"):
        get_prompt("nice")


def test_identity_follows_what_changes_an_answer_and_nothing_else() -> None:
    config = TeacherConfig(model="some/model")
    same = config.model_copy(update={"threads": 7, "kv_cache_gib": 9})
    shorter = config.model_copy(update={"max_document_tokens": 100})
    other_prompt = config.model_copy(update={"prompt": "tag"})
    assert teacher_identity(config) == teacher_identity(same)
    assert teacher_identity(config) != teacher_identity(shorter)
    assert teacher_identity(config)[0] != teacher_identity(other_prompt)[0]


class Server(BaseHTTPRequestHandler):
    """Answers by the label asked about; fails twice first for "flaky", always for "broken"."""

    failures: dict[str, int] = {}  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        if "broken" in prompt:
            return self._reply(500, {})
        if "flaky" in prompt and self.failures.setdefault("flaky", 0) < 2:
            self.failures["flaky"] += 1
            return self._reply(503, {})
        if "plain" in prompt:
            return self._reply(200, {"choices": [{"message": {"content": "No."}}]})
        yes, no = (0.7, 0.1) if "heart" in prompt else (0.02, 0.9)
        shares = {" Yes": yes, "no": no}
        tops = [{"token": word, "logprob": math.log(p)} for word, p in shares.items()]
        choice = {"message": {"content": "?"}, "logprobs": {"content": [{"top_logprobs": tops}]}}
        return self._reply(200, {"choices": [choice]})

    def _reply(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_served_model_answers_every_pair_and_failures_stay_as_rows(endpoint: str) -> None:
    labels = ["heart", "ear", "flaky heart", "plain", "broken"]
    questions = pa.table(
        {"doc_id": ["a", "b"], "title": [None, "T"], "text": ["one", "two"],
         "label_ids": [[0, 1, 2], [3, 4]], "label_texts": [labels[:3], labels[3:]]}
    )  # fmt: skip
    config = TeacherConfig(kind="http", model="m", url=endpoint, prompt="tag", concurrency=2)
    rows = build_teacher(config).judge(questions).to_pylist()
    assert [(row["doc_id"], row["label_id"]) for row in rows] == [
        ("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4)
    ]  # fmt: skip
    assert [row["answer"] for row in rows] == ["yes", "no", "yes", "no", "unclear"]
    assert rows[0]["p_yes"] == pytest.approx(0.875)
    assert rows[3]["p_yes"] is None
    assert "500" in rows[4]["raw"]


def test_an_endpoint_without_url_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher\.url"):
        build_teacher(TeacherConfig(kind="http", model="m", url="file:///etc/passwd"))
