"""The likeliest mistakes: each is told on one line that says what, where and how to mend it, with
its exit code, before anything heavy begins."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.cli.tagging import text_in_words
from lmtx_ray.corpus.schemas import BUNDLE_VERSION
from lmtx_ray.io import storage

LABELS = [{"uid": f"L{n}", "title": f"label {n}"} for n in range(5)]
ROWS = [{"uid": f"d{n}", "title": "A title", "content": f"text {n}"} for n in range(30)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents, labels, a config, and what a bundle is known by."""
    for name, rows in (("documents", ROWS), ("labels", LABELS)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    config = {
        "run": "run",
        "corpus": {"documents": ["documents.jsonl"], "held_aside": 10, "labels": "labels.jsonl"},
        "encoder": {"model": "some/encoder"},
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    bundle = tmp_path / "run" / "bundle-1"
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text(json.dumps({"version": BUNDLE_VERSION}))
    files = {"bundle.json": {"name": "bundle.json", "sha256": ""}}
    manifest = storage.to_json({"fingerprint": "f", "files": files})
    storage.write_bytes(f"{bundle}/MANIFEST.json", manifest)
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(caplog: pytest.LogCaptureFixture, *arguments: str) -> tuple[int, str]:
    """The exit code and the one line that says why."""
    code = main(arguments)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    (line,) = lines
    assert "\n" not in line
    assert line.startswith(f"lmtx {arguments[0]}: ")
    for page in ("errors.pydantic.dev", "Traceback", "^"):
        assert page not in line
    return code, line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: a\n\tcorpus: b\n", "bad.yaml: line 2, column 1: a tab, where YAML takes spaces"),
        ("run: a\ncorpus: b: c\n", "bad.yaml: line 2, column 10: mapping values are not allowed"),
        ("run: a\ncorpus: [b\n", "bad.yaml: line 3, column 1: "),
        ("run: @a\n", "bad.yaml: line 1, column 6: "),
        ("- run\n", "bad.yaml: needs sections (a mapping), found list"),
        ("rum: a\n", "did you mean run?"),
    ],
)
def test_a_config_that_is_no_config(place, caplog, text: str, message: str) -> None:
    (place / "bad.yaml").write_text(text)
    code, line = told(caplog, "plan", "bad.yaml")
    assert (code, message in line) == (1, True), line


def test_a_config_in_latin_1(place, caplog) -> None:
    (place / "bad.yaml").write_bytes("run: é\n".encode("latin-1"))
    assert told(caplog, "plan", "bad.yaml") == (
        1,
        "lmtx plan: bad.yaml: not UTF-8 at byte 5: save it as UTF-8",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "absent.yaml"], "absent.yaml: there is no such file"),
        (["plan", "empty"], "empty: a folder, and a YAML file is needed"),
        (["plan", "config.yaml", "--set", "judge.top_k=many"], "judge.top_k: "),
        (["plan", "config.yaml", "--set", "judge.top_k=0"], "judge.top_k: "),
        (["plan", "config.yaml", "--set", "judge.topk=3"], "judge.topk: unknown key"),
        (["plan", "config.yaml", "--set", "judge"], "needs the form section.field=value"),
        (["plan", "config.yaml", "--set", "run=[a"], "override 'run=[a': line 1"),
        (["plan", "config.yaml", "--set", "corpus.labels=absent.jsonl"], "absent.jsonl"),
        (["plan", "config.yaml", "--set", "corpus.documents=[empty]"], "empty: no file to read"),
        (["plan", "config.yaml", "--set", "judge.teacher.kind=http"], "judge.teacher.url"),
        (["plan", "config.yaml", "--set", "judge.teacher.prompt=nice"], "no prompt 'nice'"),
        (["run", "config.yaml", "--cycle", "2"], "--cycle needs --until"),
        (
            ["run", "config.yaml", "--set", "encoder.model=./absent/model"],
            "encoder.model: no such folder",
        ),
        (
            ["run", "config.yaml", "--set", "encoder.model=empty"],
            "encoder.model: an empty folder: ",
        ),
        (["run", "config.yaml", "--set", "encoder.model=run"], "run: it has no config.json"),
        (["tag-text", "--bundle", "absent", "text"], "absent: no such bundle"),
        (["tag-text", "--bundle", "run", "text"], "did you mean run/bundle-1?"),
        (["tag-text", "--bundle", "config.yaml", "text"], "a bundle is a folder, and this is a"),
        (["tag-text", "--bundle", "empty", "text"], "empty: not a bundle, it has no MANIFEST.json"),
        (["tag-text", "--bundle", "run/bundle-1", "a\udce9"], "not UTF-8 at character 2"),
        (["tag-text", "--url", "localhost:8000", "text"], "needs the form http://127.0.0.1:8000"),
        (["tag-text", "--url", "http://127.0.0.1:9", "text"], "is the service running (lmtx serv"),
        (["serve", "--bundle", "absent"], "absent: no such bundle"),
        (["sweep", "empty"], "not published"),
    ],
)
def test_a_wrong_name_or_value(place, caplog, arguments: list[str], message: str) -> None:
    code, line = told(caplog, *arguments)
    assert (code, message in line) == (1, True), line


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--input", "absent.jsonl"], "no such file or folder: "),
        (["--input", "empty"], "empty: no file to read is there"),
        (["--input", "*.csv"], "*.csv: no file to read is there"),
        (["--input", "ftp://host/file"], "only file paths and s3:// are supported"),
        (["--input", "documents.jsonl", "--output", "/proc/tags"], "/proc/tags"),
        (
            ["--input", "documents.jsonl", "--output", "tags.xlsx"],
            ".parquet or .xmc.txt",
        ),
        (["--input", "documents.jsonl", "--output", "labels.jsonl"], "it is there already"),
        (["--input", "documents.jsonl", "--pass-through", "labels"], "a column of the tags"),
        (["--input", "documents.jsonl", "--bundle", "absent"], "absent: no such bundle"),
        (["--input", "documents.jsonl", "--bundle", "run"], "did you mean "),
    ],
)
def test_a_tagging_that_cannot_begin(place, caplog, more: list[str], message: str) -> None:
    begin = ["tag", "--bundle", "run/bundle-1", "--output", "out"]
    code, line = told(caplog, *begin, *more)
    assert (code, message in line) == (1, True), line
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tga"], "tga"),
        (["tag-text", "--bundle", "b"], "text"),
        (["tag-text", "text"], "--bundle"),
        (["tag-text", "--bundle", "b", "--top-k", "0", "t"], "a whole number from 1, got '0'"),
        (["tag-text", "--bundle", "b", "--min-probability", "90", "t"], "for 90 % say 0.9"),
        (["tag-text", "--bundle", "b", "--min-probability", "2", "t"], "from 0 to 1, got '2'"),
        (["tag-text", "--bundle", "b", "--min-probability", "nan", "t"], "from 0 to 1"),
        (["tag", "--bundle", "b", "--input", "i"], "--output"),
        (["run", "c.yaml", "--until", "nowhere"], "nowhere"),
    ],
)
def test_bad_usage_exits_with_2(capsys, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_standard_input_in_latin_1(place, caplog, monkeypatch) -> None:
    text = io.TextIOWrapper(io.BytesIO("une étude".encode("latin-1")))
    monkeypatch.setattr(sys, "stdin", text)
    code, line = told(caplog, "tag-text", "--bundle", "run/bundle-1", "-")
    assert (code, "standard input: not UTF-8 at byte 4" in line, "iconv" in line) == (1, True, True)


@pytest.fixture
def other_service() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """An address, and what is answered there: (status, body)."""
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", answers
        server.shutdown()


INVALID = {"error": "invalid", "detail": [{"loc": ["body", "top_k"], "msg": "at most 100"}]}
ANSWER = {
    "bundle_id": "b1",
    "results": [
        {
            "tags": [{"key": "L1", "label": "label 1", "score": 0.5, "probability": 0.9}],
            "reason": "",
        }
    ],
}


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"{}", "it wants an API key: set MY_KEY"),
        (422, json.dumps(INVALID).encode(), "status 422: body.top_k: at most 100"),
        (404, b"<html>no</html>", "status 404: <html>no</html>"),
        (200, b"<html>hello</html>", "is no lmtx service"),
    ],
)
def test_a_service_that_does_not_answer(
    caplog, other_service, status: int, body: bytes, message: str
) -> None:
    url, answers = other_service
    answers.append((status, body))
    code, line = told(caplog, "tag-text", "--url", url, "--key-env", "MY_KEY", "text")
    assert (code, message in line) == (1, True), line


def test_a_service_that_answers(capsys, other_service) -> None:
    url, answers = other_service
    answers.append((200, json.dumps(ANSWER).encode()))
    assert main(["tag-text", "--url", url, "text"]) == 0
    assert json.loads(capsys.readouterr().out)["tags"][0]["key"] == "L1"


def test_tags_that_are_all_unlikely_are_no_mistake_wherever_it_is_asked(
    capsys, other_service
) -> None:
    url, answers = other_service
    row = {"tags": [], "reason": "no tag has a probability of 0.9 or more: the best has 0.41"}
    answers.append((200, json.dumps({"bundle_id": "b1", "results": [row]}).encode()))
    assert main(["tag-text", "--url", url, "--min-probability", "0.9", "text"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bundle_id": "b1", **row}
    assert text_in_words(row) == row["reason"]


def test_a_service_of_this_machine_is_asked_without_a_proxy(
    monkeypatch, capsys, other_service
) -> None:
    url, answers = other_service
    answers.append((200, json.dumps(ANSWER).encode()))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert main(["tag-text", "--url", url, "text"]) == 0


@pytest.mark.parametrize("key", ["lmtx_secret\n more", "lmtx_sécret"])
def test_a_key_that_no_header_can_hold_is_not_shown(
    monkeypatch, caplog, other_service, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    asked = ("tag-text", "--url", other_service[0], "--key-env", "MY_KEY", "text")
    code, line = told(caplog, *asked)
    assert (code, "the key in MY_KEY holds" in line) == (1, True), line
    assert "lmtx_s" not in caplog.text


def test_s3_without_credentials(place, caplog, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place / "absent"))
    begin = ["tag", "--bundle", "run/bundle-1", "--output", "out"]
    code, line = told(caplog, *begin, "--input", "s3://lake/in")
    assert (code, "s3://lake/in: no credentials for S3: set AWS_" in line) == (1, True), line


def test_s3_with_an_endpoint_that_is_not_there(place, caplog, monkeypatch) -> None:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    begin = ["tag", "--bundle", "run/bundle-1", "--output", "out"]
    code, line = told(caplog, *begin, "--input", "s3://lake/in")
    assert (code, "the S3 endpoint does not answer" in line) == (1, True), line


def test_s3_without_the_bucket(place, caplog, server) -> None:
    begin = ["tag", "--bundle", "run/bundle-1", "--output", "out"]
    code, line = told(caplog, *begin, "--input", "s3://no-such-lake/in")
    assert (code, "there is no such bucket" in line) == (1, True), line
