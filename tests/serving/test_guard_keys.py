"""Keys and bindings: who is let in, and when the service refuses to start."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import httpx
import pytest

from serve_apps.guard import (
    BindingError,
    GuardError,
    GuardSettings,
    KeysError,
    check_binding,
    load_keys,
    new_key,
    parse_keys,
)
from serve_apps.running import run_blocking
from tests.serving.contract_app import contract_app

BODY = {"documents": ["chest pain"]}


def ask(settings: GuardSettings, method: str, path: str, **options: object) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(contract_app(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(request())


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer {}"}, {"authorization": "bearer   {}"}, {"X-API-Key": "{}"}],
)
def test_key_in_either_header_opens_the_service(headers: dict[str, str]) -> None:
    (_, first), (secret, second) = new_key("first"), new_key("second")
    settings = GuardSettings(keys=parse_keys([first, second], "test"))
    sent = {name: value.format(secret) for name, value in headers.items()}
    assert ask(settings, "POST", "/v1/tag", json=BODY, headers=sent).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic dTpw"},
        {"X-API-Key": "\xff\xfe".encode("latin-1")},
        {"Authorization": "Bearer"},
        {"X-API-Key": "x" * 5000},
    ],
)
def test_missing_or_wrong_key_is_refused_before_the_body(headers: dict[str, str]) -> None:
    settings = GuardSettings(keys=parse_keys([new_key("one")[1]], "test"))
    reply = ask(settings, "POST", "/v1/tag", content=b"{" * 9, headers=headers)
    assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert reply.json()["error"] == "unauthorized"


def test_the_hash_itself_is_no_key() -> None:
    keys = parse_keys([new_key("one")[1]], "test")
    headers = {"X-API-Key": keys[0].sha256}
    assert ask(GuardSettings(keys=keys), "GET", "/v1/labels", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/static/app.js"])
def test_health_page_and_description_need_no_key(path: str) -> None:
    settings = GuardSettings(keys=parse_keys([new_key("one")[1]], "test"))
    assert ask(settings, "GET", path).status_code == 200
    assert ask(settings, "POST", path, json={}).status_code == 401


@pytest.mark.parametrize(
    ("host", "rule", "status"),
    [
        ("127.0.0.1", "loopback", 200),
        ("0.0.0.0", "loopback", 401),
        ("", "loopback", 401),
        ("0.0.0.0", "open", 200),
        ("127.0.0.1", "key", 401),
    ],
)
def test_metrics_are_open_on_loopback_only_unless_said(host: str, rule: str, status: int) -> None:
    settings = GuardSettings(host=host, metrics=rule)
    assert ask(settings, "GET", "/metrics").status_code == status


def test_keys_come_from_the_variable_and_the_file(tmp_path: Path) -> None:
    lines = [new_key(name)[1] for name in ("a", "b", "c")]
    path = tmp_path / "keys"
    path.write_text(f"# people\n\n{lines[1]}\n{lines[2].upper().replace('C:', 'c:')}\n")
    environment = {"LMTX_API_KEYS": lines[0] + ", ", "LMTX_API_KEYS_FILE": str(path)}
    assert [key.name for key in load_keys(environment)] == ["a", "b", "c"]
    assert load_keys({"LMTX_API_KEYS": ""}) == ()


def test_file_without_keys_is_an_error_not_an_open_door(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n")
    with pytest.raises(KeysError, match="no keys"):
        load_keys({"LMTX_API_KEYS_FILE": str(tmp_path / "keys")})
    with pytest.raises(KeysError, match="cannot read"):
        load_keys({"LMTX_API_KEYS_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize("line", ["secret", "name:abc", "na me:" + "0" * 64, ":" + "0" * 64])
def test_malformed_key_is_named_by_place_never_by_content(line: str) -> None:
    with pytest.raises(KeysError, match=r"keys\.txt: entry 2") as caught:
        parse_keys(["# comment", line], "keys.txt")
    assert line not in str(caught.value)


def test_new_key_shows_its_hash_only() -> None:
    secret, line = new_key("anna.laptop-1")
    assert line == f"anna.laptop-1:{hashlib.sha256(secret.encode()).hexdigest()}"
    assert len(secret) > 40
    assert new_key("x")[0] != new_key("x")[0]
    with pytest.raises(KeysError):
        new_key("two words")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST.", "::ffff:127.0.0.1"],
)
def test_loopback_needs_no_keys(host: str) -> None:
    check_binding(host, ())


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "[::]",
        "",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "example.org",
        "localhost.evil.org",
        "127.0.0.1.evil.org",
        "128.0.0.1",
        "fe80::1%eth0",
    ],
)
def test_open_binding_without_keys_is_refused_unless_said(host: str) -> None:
    with pytest.raises(BindingError, match="--insecure"):
        check_binding(host, ())
    check_binding(host, (), insecure=True)
    check_binding(host, parse_keys([new_key("one")[1]], "test"))


def test_settings_come_from_the_environment_and_refuse_unknown_names() -> None:
    found = GuardSettings.from_environment(
        {"LMTX_GUARD_MAX_BODY_BYTES": "1000", "LMTX_GUARD_BUSY_STATUS": "429"}, host="::1"
    )
    assert (found.max_body_bytes, found.busy_status, found.host) == (1000, 429, "::1")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LMTX_GUARD_MAX_BODDY", "1", "LMTX_GUARD_MAX_BODDY: no such setting"),
        ("LMTX_GUARD_MAX_DEPTH", "deep", "LMTX_GUARD_MAX_DEPTH: Input should be a valid integer"),
        ("LMTX_GUARD_BUSY_STATUS", "often", "LMTX_GUARD_BUSY_STATUS: Input should be 429 or 503"),
        ("LMTX_GUARD_CORS_ORIGINS", "a.org", "LMTX_GUARD_CORS_ORIGINS: 'a.org' is no origin"),
        ("LMTX_GUARD_BODY_SECONDS", "inf", "LMTX_GUARD_BODY_SECONDS: Input should be a finite"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(GuardError) as raised:
        run_blocking("/no/such/bundle", "127.0.0.1", 8000)
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_a_wrong_setting_of_the_application_is_named_as_it_is_there() -> None:
    with pytest.raises(GuardError, match=r"guard\.max_in_flight: Input should be greater"):
        GuardSettings.from_environment({}, max_in_flight=0)
