"""What stands around all of Serve's own HTTP code in a replica, the guard included.

Serve keeps the id of a request and adds it to the answer, whatever a client sent; the guard does
both too, but only with ids that are harmless. Here one id is chosen before either sees the request,
and one header leaves.

`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve_apps.outermost:middlewares` in the environment of
the cluster's start; `lmtx serve` sets it.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.guard.headers import choose_request_id, first_headers

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
HERE = f"{__name__}:middlewares"
HEADER = b"x-request-id"


class OneRequestId:
    """ASGI middleware: all parts of the service see one id of a request, and the client too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give an HTTP request its id; anything else passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = choose_request_id(first_headers(scope)).encode()
        scope = {**scope, "headers": _with_id(scope["headers"], request_id)}

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with_id(message.get("headers", ()), request_id)}
            await send(message)

        await self._app(scope, receive, send_once)


def _with_id(headers: list[tuple[bytes, bytes]], request_id: bytes) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name.lower() != HEADER]
    return [*others, (HEADER, request_id)]


def middlewares() -> list[Middleware]:
    """What Serve asks for."""
    return [Middleware(OneRequestId)]
