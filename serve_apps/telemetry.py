"""What `/metrics` tells, in Prometheus's text format, of the ingress process that is asked.

Each ingress replica counts on its own and names itself in the label `replica`; Prometheus adds the
series up. Ray exports its own metrics of deployments beside these.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.generation import Answer
from serve_apps.guard.exchange import CLIENT_CLOSED
from serve_apps.guard.logs import route_pattern

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


class Telemetry:
    """The registry of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.replica = "none"
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self._requests = counter(
            "lmtx_requests", "Requests by route and status", ["route", "status", "replica"]
        )
        self._seconds = histogram(
            "lmtx_request_seconds", "Whole requests", ["route", "replica"], buckets=SECONDS
        )
        self._stages = histogram(
            "lmtx_stage_seconds",
            "Parts of tagging: queue, encode, search, rank",
            ["stage", "replica"],
            buckets=SECONDS,
        )
        self._batch = histogram(
            "lmtx_batch_documents", "Documents of a pass", ["replica"], buckets=BATCHES
        )
        self._documents = counter("lmtx_documents", "Documents tagged", ["replica"])
        self._tokens = counter("lmtx_tokens", "Tokens encoded, about", ["replica"])
        self._in_flight = gauge("lmtx_in_flight", "Requests being answered", ["replica"])
        self._bundle = gauge(
            "lmtx_bundle", "1 for the bundle of the newest answer", ["bundle_id", "replica"]
        )
        self._bundle_id = ""

    def answered(self, answer: Answer) -> None:
        """Counts what a replica of the engine told about an answer."""
        for stage, seconds in answer.seconds.items():
            self._stages.labels(stage, self.replica).observe(seconds)
        self._batch.labels(self.replica).observe(answer.batch_documents)
        self._documents.labels(self.replica).inc(len(answer.rows))
        self._tokens.labels(self.replica).inc(answer.tokens)
        if answer.bundle_id != self._bundle_id:
            if self._bundle_id:
                self._bundle.remove(self._bundle_id, self.replica)
            self._bundle_id = answer.bundle_id
            self._bundle.labels(self._bundle_id, self.replica).set(1)

    def text(self) -> bytes:
        """The body of `/metrics`."""
        return generate_latest(self.registry)

    async def measure(
        self, scope: Scope, answer: Callable[[Send], Awaitable[Any]], send: Send
    ) -> None:
        """Counts one request, whatever becomes of it, by the pattern of its route; one that has no
        answer as that of a client that went away, as it is in the log: faults have an answer."""
        status = CLIENT_CLOSED

        async def watched(message: Message) -> None:
            nonlocal status
            status = message["status"] if message["type"] == "http.response.start" else status
            await send(message)

        started = time.perf_counter()
        self._in_flight.labels(self.replica).inc()
        try:
            await answer(watched)
        finally:
            route = route_pattern(scope) or "other"
            self._in_flight.labels(self.replica).dec()
            self._requests.labels(route, str(status), self.replica).inc()
            self._seconds.labels(route, self.replica).observe(time.perf_counter() - started)


class Measured:
    """ASGI middleware around everything, refusals included."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure an HTTP request; anything else passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(watched: Send) -> None:
            await self._app(scope, receive, watched)

        await self._telemetry.measure(scope, answer, send)
