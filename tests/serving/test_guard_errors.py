"""Bad bodies get a 4xx that points to the fault; nothing secret is logged or echoed."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import StreamingResponse

from serve_apps.guard import Guard, GuardSettings, install_error_handlers, new_key, parse_keys
from serve_apps.guard.json_check import is_deep
from tests.serving.contract_app import contract_app

JSON = {"Content-Type": "application/json"}
SECRET_TEXT = "Patient Zacharias Quill has scurvy"
OPEN = GuardSettings(requests_per_minute=0, documents_per_minute=0)


def send(
    content: bytes | str = b"",
    path: str = "/v1/tag",
    method: str = "POST",
    api: FastAPI | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(api or contract_app(OPEN), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(
                method, path, content=content, headers={**JSON, **(headers or {})}
            )

    return asyncio.run(request())


def first_problem(reply: httpx.Response) -> tuple[int, list[Any]]:
    body = reply.json()
    assert set(body) == {"error", "detail", "request_id"}
    assert body["request_id"] == reply.headers["X-Request-ID"]
    return reply.status_code, body["detail"][0]["loc"]


@pytest.mark.parametrize(
    ("content", "status", "loc"),
    [
        ('{"documents": ["a\\u0000b"]}', 422, ["body", "documents", 0]),
        (
            '{"documents": [{"text": "a", "title": "\\ud800"}]}',
            422,
            ["body", "documents", 0, "title"],
        ),
        ('{"documents": ["a"], "deny": ["b", "\\udfff\\ud800"]}', 422, ["body", "deny", 1]),
        ('{"documents": ["a"], "\\ud800": 1}', 422, ["body"]),
        ('{"documents": ["a"], "min_probability": NaN}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "min_probability": -Infinity}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "min_probability": 1e999}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "top_k": 1' + "0" * 9000 + "}", 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": "many"}', 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": 0}', 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": 1e10}', 422, ["body", "top_k"]),
        ('{"documents": []}', 422, ["body", "documents"]),
        ('{"documents": "a"}', 422, ["body", "documents"]),
        ('{"documents": ["a"], "surprise": 1}', 422, ["body", "surprise"]),
        (
            '{"documents": ["a"], "allow": [' + ",".join(['"a"'] * 400_000) + "]}",
            422,
            ["body", "allow"],
        ),
        (
            '{"documents": ["a"], "allow": [' + ",".join(["7"] * 900_000) + "]}",
            422,
            ["body", "allow"],
        ),
        ('{"documents": ["a"], "allow": [' + ",".join(['"a"'] * 1_000_000) + "]}", 413, ["body"]),
        ("[" * 100_000, 400, ["body"]),
        ('{"documents": ' + "[" * 500 + "]" * 500 + "}", 400, ["body"]),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, 400, ["body"]),
        ('{"documents": ["a",]}', 400, ["body", 19]),
        (b'{"documents": ["\xff"]}', 400, ["body", 16]),
        (b'\xef\xbb\xbf{"documents": ["a"]}', 400, ["body", 0]),
        (b'{"documents": ["a\x00"]}', 400, ["body", 17]),
        ('{"documents": ["a"]}'.encode("utf-16"), 400, ["body", 0]),
        (b"", 400, ["body", 0]),
        ("null", 422, ["body"]),
        ("[]", 422, ["body"]),
    ],
)
def test_bad_body_is_refused_with_a_pointer(content: Any, status: int, loc: list[Any]) -> None:
    assert first_problem(send(content)) == (status, loc)


def test_million_labels_point_to_their_field_where_bodies_may_be_large() -> None:
    large = GuardSettings(max_body_bytes=16 * 1024 * 1024)
    content = json.dumps({"documents": ["a"], "allow": ["label"] * 1_000_000})
    assert first_problem(send(content, api=contract_app(large))) == (422, ["body", "allow"])


def test_special_characters_are_text() -> None:
    text = "\u202e ﷽ 👩‍👩‍👧 \x01\x7f \ufeff \uffff <script> ' OR 1=1 -- ${jndi:ldap://x} \\u0000"
    reply = send(json.dumps({"documents": [text, "\U0001f600", ""]}))
    assert reply.status_code == 200
    assert [result["reason"] for result in reply.json()["results"]] == ["", "", "empty"]


def test_not_plain_query_is_refused_with_a_pointer() -> None:
    reply = send(path="/v1/labels?q=a%00", method="GET")
    assert first_problem(reply) == (422, ["query", "q"])


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    text = '[{"' * 5_000 + "\\" * 7
    assert send(json.dumps({"documents": [text]})).status_code == 200


nested = st.recursive(
    st.text(alphabet='[]{}"\\a') | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\'), inner),
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(nested, st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_depth_without_parsing_is_depth(value: Any, most: int) -> None:
    assert is_deep(json.dumps(value).encode(), most) == (depth(value) > most)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "title", "text", "\0", "\ud800"]), inner)
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.fixed_dictionaries(
        {"documents": st.lists(anything, max_size=3) | anything},
        optional={
            "top_k": anything,
            "min_probability": anything,
            "allow": anything,
            "deny": anything,
            "explain": anything,
            "\ud800x": anything,
        },
    ),
    anything,
).map(lambda value: json.dumps(value).encode())


@given(
    st.one_of(
        bodies,
        st.binary(max_size=200),
        st.text(st.characters()).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_body_causes_a_fault(content: bytes) -> None:
    reply = send(content, api=FUZZED)
    assert reply.status_code in (200, 400, 422)
    json.loads(reply.text, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))


FUZZED = contract_app(OPEN)


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
        ("/v1/labels/unknown", "GET", 404, "not_found"),
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
