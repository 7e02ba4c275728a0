"""Pages of other origins: none may ask unless it is named, and then errors can be read too."""

from __future__ import annotations

import json

import httpx
import pytest
from pydantic import ValidationError

from serve_apps.guard import GuardSettings, new_key, parse_keys
from tests.serving.contract_app import contract_app
from tests.serving.sending import send

PAGE = "https://search.example.org"
ASKING = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
SECRET, LINE = new_key("page")


def ask(origins: str, headers: dict[str, str], method: str = "OPTIONS") -> httpx.Response:
    keys = parse_keys([LINE], "test")
    settings = GuardSettings.from_environment({"LMTX_GUARD_CORS_ORIGINS": origins}, keys=keys)
    return send(
        json.dumps({"documents": ["a"]}), "/v1/tag", method, contract_app(settings), headers
    )


@pytest.mark.parametrize("origins", [PAGE, f"http://localhost:3000, {PAGE}", "*"])
def test_a_named_origin_may_ask_without_a_key_whether_it_may(origins: str) -> None:
    reply = ask(origins, {**ASKING, "Access-Control-Request-Headers": "authorization"})
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == ("*" if origins == "*" else PAGE)
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in reply.headers
    assert reply.headers.get("Vary") == (None if origins == "*" else "Origin")
    assert reply.headers["X-Request-ID"]


@pytest.mark.parametrize("key", [SECRET, "wrong"], ids=["known", "wrong"])
def test_answers_and_refusals_can_be_read_by_the_page(key: str) -> None:
    reply = ask(PAGE, {"Origin": PAGE, "X-API-Key": key}, "POST")
    assert reply.status_code == (200 if key == SECRET else 401)
    assert reply.headers["Access-Control-Allow-Origin"] == PAGE
    assert "X-Request-ID" in reply.headers["Access-Control-Expose-Headers"]


def test_another_origin_is_told_that_it_may_not() -> None:
    reply = ask(PAGE, {**ASKING, "Origin": "https://elsewhere.example.org"})
    assert (reply.status_code, reply.json()["error"]) == (403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in reply.headers


def test_nobody_may_ask_by_default() -> None:
    assert send(path="/v1/tag", method="OPTIONS", headers=ASKING).status_code == 405
    reply = send(path="/healthz", method="GET", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize(
    "origins",
    ["search.example.org", f"{PAGE}/", "https://*.example.org", "https://a@b", "HTTPS://a", "null"],
)
def test_what_no_browser_sends_is_no_origin(origins: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        GuardSettings(cors_origins=origins)
