"""The guard: keys, limits and logs around any ASGI application.

    api.add_middleware(Guard, settings=GuardSettings(…))

Cheap checks come first and the body is read last, so that a refused request costs nothing. The
application finds in `request.state`: `request_id`, `key_name` and `rights` of the key, `documents`
(how many the body holds; it may set a better number) and `deadline` (time.monotonic() of this
process).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from lmtx_ray.io.addresses import is_loopback
from serve_apps.guard import body as bodies
from serve_apps.guard.cors import is_preflight
from serve_apps.guard.errors import Refusal
from serve_apps.guard.exchange import Exchange
from serve_apps.guard.headers import client_network, declared_length, is_json
from serve_apps.guard.json_check import parse_json
from serve_apps.guard.keys import find_key, presented
from serve_apps.guard.limits import OPEN_PATHS, STATIC_PREFIX, GuardSettings
from serve_apps.guard.logs import log_failure
from serve_apps.guard.rate import TokenBuckets

WITH_BODY = ("POST", "PUT", "PATCH", "DELETE", "QUERY")


class AnswerBroke(Exception):
    """The application failed after its answer had begun; the server closes the connection."""


class Guard:
    """ASGI middleware; see GuardSettings for what it allows."""

    def __init__(self, app: ASGIApp, settings: GuardSettings | None = None) -> None:
        self._app = app
        self._settings = settings = settings or GuardSettings()
        shape = (settings.burst_seconds, settings.max_buckets)
        self._requests = TokenBuckets(settings.requests_per_minute, *shape)
        self._documents = TokenBuckets(settings.documents_per_minute, *shape)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an HTTP request through or refuse it; a WebSocket is closed."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            exchange = Exchange(scope, send, self._settings.cors_origins)
            await self._exchange(exchange, receive)
        else:
            await self._app(scope, receive, send)

    async def _exchange(self, exchange: Exchange, receive: Receive) -> None:
        try:
            await self._answer(exchange, receive)
        except bodies.ClientGone:
            pass
        except Refusal as refusal:
            await _refuse(exchange, refusal, receive)
        except Exception as error:
            log_failure(exchange.request_id, error)
            if exchange.started:
                raise AnswerBroke(exchange.request_id) from None
            await exchange.refuse(Refusal(500, "internal", [((), "a fault of the service")]))
        finally:
            exchange.log()

    async def _answer(self, exchange: Exchange, receive: Receive) -> None:
        path, method = _path(exchange.scope), exchange.scope["method"]
        _check_headers(exchange.scope, self._settings.max_header_bytes)
        if self._settings.cors_origins and is_preflight(exchange.scope, exchange.headers):
            await exchange.preflight()
            return
        if self._is_open(path, method):
            await self._app(exchange.scope, bodies.replay(b"", receive), exchange.send)
            return
        client = self._identify(exchange, path)
        _within(self._requests, client, 1, "requests")
        with self._slot():
            body = await self._body(exchange, client, receive) if method in WITH_BODY else b""
            await self._in_time(exchange, bodies.replay(body, receive))

    def _is_open(self, path: str, method: str) -> bool:
        if method not in ("GET", "HEAD"):
            return False
        if path == "/metrics":
            kind = self._settings.metrics
            return kind == "open" or (kind == "loopback" and is_loopback(self._settings.host))
        return path in OPEN_PATHS or path.startswith(STATIC_PREFIX)

    def _identify(self, exchange: Exchange, path: str) -> str:
        """The name that limits count under, "" where clients cannot be told apart; Refusal 401
        without a valid key where one is due."""
        keys, headers = self._settings.keys, exchange.headers
        if not keys and path != "/metrics":
            if not self._settings.count_addresses:
                return ""
            hops, proxies = self._settings.forwarded_hops, self._settings.forwarded_from
            return f"address {client_network(exchange.scope, hops, proxies)}"
        secret = presented(headers)
        key = find_key(keys, secret) if secret is not None else None
        if key is None:
            message = "this needs an API key" if secret is None else "the API key is not known"
            where = ["header", "Authorization"]
            raise Refusal(401, "unauthorized", [(where, message)], {"WWW-Authenticate": "Bearer"})
        exchange.key_name = exchange.state["key_name"] = key.name
        exchange.state["rights"] = key.rights
        return f"key {key.name}"

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._in_flight >= self._settings.max_in_flight:
            message = "too many requests at once"
            raise Refusal(self._settings.busy_status, "busy", [((), message)], {"Retry-After": "1"})
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def _body(self, exchange: Exchange, client: str, receive: Receive) -> bytes:
        settings, declared = self._settings, declared_length(exchange.headers)
        in_chunks = b"transfer-encoding" in exchange.headers  # then nothing says how long it is
        if exchange.scope["method"] == "DELETE" and not declared and not in_chunks:
            return b""
        if not is_json(exchange.headers):
            message = "the body must be application/json in UTF-8, not compressed"
            raise Refusal(415, "not_json_type", [(["header", "Content-Type"], message)])
        body = await bodies.read_body(
            receive, settings.max_body_bytes, settings.body_seconds, declared
        )
        exchange.bytes_in = len(body)
        count = _count(parse_json(body, settings.max_depth), settings.documents_field)
        exchange.state["documents"] = count
        _within(self._documents, client, count, "documents")
        return body

    async def _in_time(self, exchange: Exchange, receive: Receive) -> None:
        seconds = self._settings.request_seconds
        exchange.state["deadline"] = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds) as timer:
                await self._app(exchange.scope, receive, exchange.send)
        except TimeoutError:
            if not timer.expired() or exchange.started:
                raise
            message = f"no answer within {seconds:g} seconds"
            raise Refusal(503, "deadline", [((), message)], {"Retry-After": "1"}) from None


async def _refuse(exchange: Exchange, refusal: Refusal, receive: Receive) -> None:
    closing = refusal.headers.get("Connection") == "close"
    await exchange.refuse(refusal, more_body=closing)
    if closing:
        await bodies.drain(receive)
        await exchange.send({"type": "http.response.body", "body": b""})


def _check_headers(scope: Scope, most: int) -> None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > most:
        problem = (["header"], f"the headers are larger than {most} bytes together")
        raise Refusal(431, "headers_too_large", [problem])


def _path(scope: Scope) -> str:
    root = scope.get("root_path", "")
    path: str = scope["path"]
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _within(buckets: TokenBuckets, client: str, cost: int, what: str) -> None:
    wait = buckets.take(client, cost, time.monotonic()) if client else 0.0
    if wait > 0:
        headers = {"Retry-After": str(math.ceil(wait))}
        message = f"more than {buckets.per_minute} {what} a minute"
        raise Refusal(429, "rate_limited", [((), message)], headers)


def _count(value: Any, field: str) -> int:
    entries = value.get(field) if isinstance(value, dict) else None
    return len(entries) if isinstance(entries, list) else 0
