"""Traces: none by default and nothing loaded, else a span of the request and of its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from serve_apps.tracing import ENDPOINTS, Tracing, TracingError, tracing_from
from tests.serving.contract_app import contract_app
from tests.serving.sending import OPEN, send

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """Spans as an exporter would get them."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("test"))

    def spans(self) -> dict[str, Any]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


def test_a_request_has_a_span_and_each_part_of_its_answer_one_inside() -> None:
    kept = Kept()
    reply = send(
        json.dumps({"documents": ["my secret text"]}),
        api=contract_app(OPEN, tracing=kept.tracing),
        headers={"traceparent": PARENT},
    )
    spans = kept.spans()
    whole = spans.pop("POST /v1/tag")
    assert list(spans) == ["queue", "encode", "search", "rank"]
    assert f"{whole.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{whole.parent.span_id:016x}" == PARENT.split("-")[2]
    assert whole.attributes["http.response.status_code"] == 200
    assert whole.attributes["lmtx.request_id"] == reply.headers["X-Request-ID"]
    assert whole.attributes["lmtx.documents"] == 1
    for before, after in zip(list(spans.values()), list(spans.values())[1:], strict=False):
        assert before.end_time == after.start_time
    assert {span.parent.span_id for span in spans.values()} == {whole.context.span_id}
    assert spans["encode"].end_time - spans["encode"].start_time == 20_000_000
    assert "secret" not in "".join(span.to_json() for span in [whole, *spans.values()])


def test_shards_are_inside_the_search() -> None:
    from serve_apps.generation import Answer

    kept = Kept()
    kept.tracing.answered(Answer("b", seconds={"search": 0.01}, shard_seconds=(0.004, 0.009)))
    spans = kept.spans()
    assert spans["shard 1"].parent.span_id == spans["search"].context.span_id
    assert spans["shard 1"].end_time - spans["shard 1"].start_time == 9_000_000


def test_refusals_are_traced_too() -> None:
    kept = Kept()
    send("{", api=contract_app(OPEN, tracing=kept.tracing))
    assert kept.spans()["POST /v1/tag"].attributes["http.response.status_code"] == 400


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINTS[0]: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
        {ENDPOINTS[0]: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_there_are_no_traces_unless_they_are_asked_for(environment: dict[str, str]) -> None:
    assert tracing_from(environment) is None


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_turns_them_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert tracing_from({name: "http://127.0.0.1:9"}, "replica-1") is not None


def test_nothing_is_loaded_without_them() -> None:
    code = (
        "import sys, serve_apps.tracing as t; assert t.tracing_from({}) is None; "
        "sys.exit('opentelemetry.sdk' in sys.modules or 'opentelemetry.exporter' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(TracingError, match=r"extra otel"):
        tracing_from({ENDPOINTS[0]: "http://127.0.0.1:9"})
