"""One request and its answer: what was counted on the way, and errors sent in the one shape."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Scope, Send

from serve_apps.guard.cors import add_origin, allowed_origin, preflight_headers
from serve_apps.guard.errors import Refusal, error_body
from serve_apps.guard.headers import add_security, choose_request_id, first_headers
from serve_apps.guard.logs import log_request

CLIENT_CLOSED = 499  # of nginx: the client went away before there was an answer


@dataclass
class Exchange:
    """Counts what passes through `send` and adds the headers that every answer has."""

    scope: Scope
    upstream: Send
    origins: tuple[str, ...] = ()
    headers: dict[bytes, bytes] = field(init=False)
    request_id: str = field(init=False)
    origin: str = field(init=False)
    began: float = field(default_factory=time.monotonic)
    key_name: str = ""
    status: int = CLIENT_CLOSED
    started: bool = False
    bytes_in: int = 0
    bytes_out: int = 0

    def __post_init__(self) -> None:
        self.headers = first_headers(self.scope)
        self.request_id = choose_request_id(self.headers)
        self.origin = allowed_origin(self.headers, self.origins)
        self.state["request_id"] = self.request_id

    @property
    def state(self) -> dict[str, Any]:
        """`request.state` of the application."""
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state

    async def send(self, message: Message) -> None:
        """Send on, with the headers of every answer."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = add_security(message.get("headers", []), self.request_id)
            message = {**message, "headers": add_origin(headers, self.origin, self.origins)}
        elif message["type"] == "http.response.body":
            self.bytes_out += len(message.get("body", b""))
        await self.upstream(message)

    async def refuse(self, refusal: Refusal, more_body: bool = False) -> None:
        """Answer with a refusal; with `more_body` the end of the answer is still to come."""
        body = error_body(refusal.code, refusal.problems, self.request_id)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **refusal.headers,
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": more_body})

    async def preflight(self) -> None:
        """Answer a browser that asks whether a page may ask; Refusal 403 if it may not."""
        headers = preflight_headers(self.origin)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": 204, "headers": raw})
        await self.send({"type": "http.response.body", "body": b""})

    def log(self) -> None:
        """One line about the request as it ended."""
        log_request(
            self.scope,
            status=self.status,
            ms=round((time.monotonic() - self.began) * 1000, 1),
            request_id=self.request_id,
            key=self.key_name,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            documents=self.state.get("documents", 0),
        )
