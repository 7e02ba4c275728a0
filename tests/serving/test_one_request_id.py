"""One id a request, whatever Serve's own code around the guard adds, and headers within a limit."""

from __future__ import annotations

import json
import logging

import pytest
from ray.serve.config import HTTPOptions

from serve_apps.guard import GuardSettings
from serve_apps.outermost import CALLBACK, HERE, middlewares
from serve_apps.ray_internals import private
from tests.serving.contract_app import contract_app
from tests.serving.sending import OPEN, send


def as_serve_runs_it(app: object) -> object:
    return private("_apply_middlewares")(app, middlewares())


@pytest.mark.parametrize("given", ["mine-1", "not harmless!", None])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
def test_an_answer_has_one_id_which_is_the_one_that_is_logged(
    given: str | None, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = as_serve_runs_it(contract_app(OPEN))
    headers = {"X-Request-ID": given} if given else {}
    with caplog.at_level(logging.INFO, "lmtx.requests"):
        reply = send(path=path, method="GET", api=api, headers=headers)
    (returned,) = reply.headers.get_list("X-Request-ID")
    assert (returned == given) == (given == "mine-1")
    (record,) = [record for record in caplog.records if record.name == "lmtx.requests"]
    assert json.loads(record.getMessage())["request_id"] == returned
    if path == "/nowhere":
        assert reply.json()["request_id"] == returned


def test_serve_finds_the_middleware_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"ray.serve._private.http_util.{CALLBACK}", HERE)
    (found,) = private("configure_http_middlewares")(HTTPOptions()).middlewares
    assert found.cls is middlewares()[0].cls


def test_large_headers_are_refused_in_the_one_shape() -> None:
    reply = send(path="/healthz", method="GET", headers={"X-Much": "a" * 20_000})
    assert (reply.status_code, reply.json()["error"]) == (431, "headers_too_large")
    api = contract_app(GuardSettings(max_header_bytes=30_000))
    assert send(path="/healthz", method="GET", api=api, headers={"X": "a" * 20_000}).is_success
