"""One shape for every error: `{"error", "detail": [{"loc", "msg"}], "request_id"}`.

Nothing a client sent comes back except the names in `loc` and label keys in what the application
says, cut and escaped: echoed NaN and lone surrogates are what breaks the usual error bodies.
"""

from __future__ import annotations

import http
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from serve_apps.guard.logs import log_failure

MOST_PROBLEMS, LONGEST_NAME, LONGEST_MESSAGE = 20, 64, 300
QUOTING_KINDS = {"union_tag_invalid", "json_invalid"}  # their messages repeat the input

Loc = Sequence[str | int]


class Problem(BaseModel):
    """Where something is wrong, as a path into the request, and what."""

    loc: list[str | int]
    msg: str


class ErrorReply(BaseModel):
    """The body of every error."""

    error: str = Field(description="a short code", examples=["invalid"])
    detail: list[Problem]
    request_id: str


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": description}
    for status, description in {
        400: "The body is not JSON, or nested too deeply",
        401: "No valid API key",
        403: "A page of this origin may not ask, or the key lacks the right",
        404: "Nothing is there",
        408: "The body came too slowly",
        413: "The body is too large",
        415: "The body is not application/json",
        422: "A field is not valid",
        429: "Too many requests; Retry-After says when to come back",
        431: "The headers are too large",
        500: "A fault of the service",
        503: "Overloaded or not ready; Retry-After says when to come back",
    }.items()
}
"""For `FastAPI(responses=…)`: what the OpenAPI description says about errors."""


class Refusal(Exception):
    """A request that is answered with an error instead of by the application."""

    def __init__(
        self,
        status: int,
        code: str,
        problems: Sequence[tuple[Loc, str]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.problems = status, code, problems
        self.headers = dict(headers or {})


def error_body(code: str, problems: Sequence[tuple[Loc, str]], request_id: str) -> bytes:
    """The JSON of an error, ASCII only."""
    detail = [
        {"loc": [_name(part) for part in loc], "msg": _cut(message, LONGEST_MESSAGE)}
        for loc, message in problems[:MOST_PROBLEMS]
    ]
    if len(problems) > MOST_PROBLEMS:
        detail.append({"loc": [], "msg": f"and {len(problems) - MOST_PROBLEMS} more"})
    return json.dumps({"error": code, "detail": detail, "request_id": request_id}).encode()


def error_response(
    scope: Scope,
    status: int,
    code: str,
    problems: Sequence[tuple[Loc, str]],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in the one shape, for handlers of the application's own."""
    body = error_body(code, problems, scope.get("state", {}).get("request_id", ""))
    return Response(body, status, dict(headers or {}), media_type="application/json")


def install_error_handlers(api: FastAPI) -> None:
    """Render validation errors, HTTP exceptions and unexpected ones in the one shape."""
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(Exception, _on_failure)


def code_of(status: int) -> str:
    """`not_found` of 404."""
    try:
        return http.HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    except ValueError:
        return "error"


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        (
            one["loc"],
            "not valid here"
            if one["type"] in QUOTING_KINDS
            else one["msg"].removeprefix("Value error, "),
        )
        for one in error.errors()
    ]
    return error_response(request.scope, 422, "invalid", problems)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    return error_response(
        request.scope, status, code_of(status), [((), str(error.detail))], error.headers
    )


async def _on_failure(request: Request, error: Exception) -> Response:
    log_failure(request.scope.get("state", {}).get("request_id", ""), error)
    return error_response(request.scope, 500, "internal", [((), "a fault of the service")])


def _name(part: str | int) -> str | int:
    return part if isinstance(part, int) else _cut(part, LONGEST_NAME)


def _cut(text: str, longest: int) -> str:
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()
