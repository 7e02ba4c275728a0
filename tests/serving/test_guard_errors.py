"""Bad bodies get a 4xx that points to the fault; nothing secret is logged or echoed."""

from __future__ import annotations

import json
import logging
import math

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from serve_apps.guard import Guard, GuardSettings, install_error_handlers, new_key, parse_keys
from tests.serving.contract_app import contract_app
from tests.serving.sending import first_problem, send

SECRET_TEXT = "Patient Zacharias Quill has scurvy"


def test_not_plain_query_is_refused_with_a_pointer() -> None:
    reply = send(path="/v1/labels?q=a%00", method="GET")
    assert first_problem(reply) == (422, ["query", "q"])


def test_handlers_alone_survive_what_breaks_the_usual_error_bodies() -> None:
    api = FastAPI()

    @api.post("/echo")
    async def echo(body: dict[str, int]) -> None:
        raise AssertionError

    install_error_handlers(api)
    for content in ('{"a": NaN}', '{"\\ud800": "\\ud800"}', '{"a": "\\u0000"}', '{"a": 1e999}'):
        reply = send(content, "/echo", api=api)
        assert reply.status_code == 422
        assert reply.json()["error"] == "invalid"


def test_invalid_input_is_not_echoed() -> None:
    reply = send(json.dumps({"documents": [{"text": SECRET_TEXT, "id": 7}], "top_k": SECRET_TEXT}))
    assert reply.status_code == 422
    assert "Zacharias" not in reply.text


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nowhere", "GET", 404, "not_found"),
        ("/v1/tag", "GET", 405, "method_not_allowed"),
        ("/v1/labels/unknown", "GET", 404, "no_such_label"),
    ],
)
def test_errors_of_the_router_have_the_one_shape(path, method, status, code) -> None:
    reply = send(path=path, method=method)
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert reply.json()["request_id"] == reply.headers["X-Request-ID"]


def test_own_http_errors_keep_their_headers() -> None:
    reply = send(json.dumps({"documents": ["be unavailable"]}))
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "2")
    assert reply.json()["detail"] == [{"loc": [], "msg": "no replica is ready"}]


def test_fault_shows_no_trace_of_itself() -> None:
    reply = send(json.dumps({"documents": ["make a fault " + SECRET_TEXT]}))
    assert (reply.status_code, reply.json()["error"]) == (500, "internal")
    assert not any(word in reply.text for word in ("Traceback", "RuntimeError", "Zacharias"))


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [("abc-1._X", True), ("a b", False), ("x" * 65, False), ("é", False), ('"}{', False)],
)
def test_request_id_is_kept_where_harmless(given_id: str, kept: bool) -> None:
    headers = {"X-Request-ID": given_id.encode()}
    back = send(path="/healthz", method="GET", headers=headers).headers.get_list("X-Request-ID")
    assert len(back) == 1
    assert (back[0] == given_id) == kept


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/labels", "GET"),
        ("/nowhere", "GET"),
        ("/v1/tag", "POST"),
        ("/", "GET"),
        ("/docs", "GET"),
        ("/static/app.js", "GET"),
    ],
)
def test_every_answer_has_the_security_headers(path: str, method: str) -> None:
    headers = send(path=path, method=method).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    page = path in ("/", "/docs") or path.startswith("/static")
    assert headers["Cache-Control"] == ("no-cache" if page else "no-store")


def broken_stream() -> FastAPI:
    api = FastAPI()

    @api.post("/stream")
    async def stream() -> StreamingResponse:
        async def parts():
            yield b"begun"
            raise RuntimeError(SECRET_TEXT)

        return StreamingResponse(parts())

    api.add_middleware(Guard, settings=GuardSettings())
    return api


def test_neither_texts_nor_keys_reach_any_log(caplog: pytest.LogCaptureFixture) -> None:
    secret, line = new_key("anna")
    tight = GuardSettings(
        keys=parse_keys([line], "t"),
        requests_per_minute=6,
        burst_seconds=50,
        documents_per_minute=60,
        max_body_bytes=5_000,
    )
    api = contract_app(tight)
    good = {"Authorization": f"Bearer {secret}"}
    text = json.dumps(SECRET_TEXT)
    contents = [
        f'{{"documents": [{text}]}}',
        f'{{"documents": {text}}}',
        f"{{{text}: [{text}]}}",
        f'{{"documents": [{text}, "\\ud800"]}}',
        f'{{"documents": [{text}',
        f"[{text}, NaN]",
        f'{{"documents": ["make a fault {SECRET_TEXT}"]}}',
        "[" * 99 + text,
        f'{{"documents": [{text}]}}'.encode("utf-16"),
        text * 1_000,
    ]
    paths = [
        f"/v1/labels?q={SECRET_TEXT}",
        f"/v1/labels/{SECRET_TEXT}",
        f"/{SECRET_TEXT}",
        f"/v1/labels?q={SECRET_TEXT}%00",
    ]
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").setLevel(logging.ERROR)  # the client's own log, not ours
        statuses = {
            send(content, api=contract_app(tight), headers=good).status_code for content in contents
        }
        statuses |= {send(content, api=api, headers=good).status_code for content in contents}
        statuses |= {
            send(path=path, method="GET", api=contract_app(tight), headers=good).status_code
            for path in paths
        }
        statuses |= {send(path=path, method="GET", api=api).status_code for path in paths}
        wrong = {"X-API-Key": secret + "x", "Content-Type": SECRET_TEXT}
        statuses.add(send(contents[0], api=api, headers=wrong).status_code)
        statuses.add(
            send(contents[0], api=contract_app(tight), headers={**good, **wrong}).status_code
        )
        send(contents[0], "/stream", api=broken_stream())
    assert statuses == {200, 400, 401, 404, 413, 415, 422, 429, 500}
    records = [record for record in caplog.records if record.name.startswith("lmtx")]
    assert len(records) > 30
    for record in caplog.records:
        shown = f"{logging.Formatter().format(record)} {record.__dict__}"
        assert "Zacharias" not in shown
        assert secret not in shown


def test_request_is_logged_with_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"documents": ["a", "b"]})
    with caplog.at_level(logging.INFO, "lmtx.requests"):
        reply = send(body)
    (record,) = [record for record in caplog.records if record.name == "lmtx.requests"]
    line = json.loads(record.getMessage())
    assert math.isfinite(line.pop("ms"))
    assert line == {
        "method": "POST",
        "route": "/v1/tag",
        "status": 200,
        "key": "",
        "documents": 2,
        "request_id": reply.headers["X-Request-ID"],
        "bytes_in": len(body),
        "bytes_out": len(reply.content),
    }
