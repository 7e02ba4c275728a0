"""OpenTelemetry traces of requests, where the environment asks for them.

They are on where OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, and take
the extra `otel`; the exporter reads the other standard variables itself. A trace has a span of the
request at the ingress, which continues the caller's (`traceparent`), and one for each part of the
answer: queue, encode, search with its shards, rank. The engine tells how long they took, and not
when: they are laid end to end, up to when the answer came. No text and no key is in a span.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.generation import Answer
from serve_apps.guard.logs import route_pattern

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE = "lmtx-tagger"
NANO = 1_000_000_000


class TracingError(ValueError):
    """Traces were asked for and cannot be made; the message says what is missing."""


class Tracing:
    """Makes spans with a tracer; without one it does nothing."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer

    def answered(self, answer: Answer) -> None:
        """Spans for the parts of an answer that has just come, under the request's own."""
        if self._tracer is None:
            return
        at = time.time_ns() - int(sum(answer.seconds.values()) * NANO)
        about: dict[str, str | int] = {
            "lmtx.bundle_id": answer.bundle_id,
            "lmtx.batch_documents": answer.batch_documents,
        }
        for stage, seconds in answer.seconds.items():
            span = self._tracer.start_span(stage, start_time=at, attributes=about)
            if stage == "search":
                self._shards(span, answer.shard_seconds, at)
            at += int(seconds * NANO)
            span.end(at)

    def _shards(self, parent: Any, seconds_S: tuple[float, ...], at: int) -> None:
        from opentelemetry.trace import set_span_in_context

        assert self._tracer is not None
        for number, seconds in enumerate(seconds_S):
            inside = set_span_in_context(parent)
            span = self._tracer.start_span(f"shard {number}", inside, start_time=at)
            span.end(at + int(seconds * NANO))

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer, inside a span of the server."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        assert self._tracer is not None
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self._tracer.start_as_current_span(
            scope["method"], extract(sent), kind=SpanKind.SERVER
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await app(scope, receive, watched)
            finally:
                route = route_pattern(scope)
                span.update_name(f"{scope['method']} {route}".strip())
                span.set_attributes(
                    {
                        "http.request.method": scope["method"],
                        "http.route": route,
                        "lmtx.request_id": scope.get("state", {}).get("request_id", ""),
                        "lmtx.documents": scope.get("state", {}).get("documents", 0),
                    }
                )


class Traced:
    """ASGI middleware around everything, refusals included."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace an HTTP request; anything else passes."""
        if scope["type"] == "http":
            await self._tracing.request(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def tracing_from(environment: Mapping[str, str], replica: str = "") -> Tracing | None:
    """What the environment asks for; None, and nothing imported, where it asks for no traces.

    Raises:
        TracingError: The packages of the extra `otel` are missing.
    """
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(
            f"{' or '.join(ENDPOINTS)} asks for traces, which take the extra otel: "
            f"pip install 'lmtx_ray[otel]' ({error})"
        ) from error
    return Tracing(_tracer(BatchSpanProcessor(OTLPSpanExporter()), replica))


def _tracer(processor: Any, replica: str) -> Tracer:
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    ours = Resource({SERVICE_NAME: SERVICE, "service.instance.id": replica})
    # of this process alone: a provider for all of it is Ray's to set
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(processor)
    return provider.get_tracer("lmtx")
