"""The HTTP application: routes over a backend, with no Ray in it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextvars import Context
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query
from fastapi import Path as PathParameter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lmtx_ray import __version__
from lmtx_ray.batch.formats import tags_of
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.corpus.label_set import Label
from serve_apps import contracts
from serve_apps.edit_routes import Editor, add_edits
from serve_apps.feedback import Keeper, keys_without_text, rows_of
from serve_apps.feedback_contracts import FeedbackRequest, FeedbackResponse
from serve_apps.generation import Answer, TagCall
from serve_apps.guard import (
    ERROR_RESPONSES,
    Guard,
    GuardSettings,
    Refusal,
    error_response,
    install_error_handlers,
)
from serve_apps.page import mount_page
from serve_apps.telemetry import CONTENT_TYPE, Measured, Telemetry
from serve_apps.tracing import Traced, Tracing

CHUNK_DOCUMENTS = 32  # a larger request is shared by the replicas
TRIES = 3


class Backend(Protocol):
    """What the routes ask; each raises Refusal where there is no answer."""

    async def tag(self, call: TagCall) -> Answer:
        """Tags of one request's documents."""

    async def labels(self, query: str, limit: int) -> tuple[str, int, list[Label]]:
        """(bundle id, size of the label set, labels that fit the query)."""

    async def label(self, key: str) -> tuple[str, Label | None, list[Label], str]:
        """(bundle id, the label or None, its parents, the day on which it was removed or "")."""

    async def label_texts(self, keys: Sequence[str]) -> tuple[str, dict[str, str]]:
        """(bundle id, texts of those keys that the label set has)."""

    async def state(self) -> dict[str, Any]:
        """`bundle_id`, `promotion`, `defaults` and, if it is known, `about`, as ReplicaState
        tells them."""


def build_api(
    backend: Backend,
    guard: GuardSettings,
    telemetry: Telemetry,
    keeper: Keeper | None = None,
    tracing: Tracing | None = None,
    editor: Editor | None = None,
) -> FastAPI:
    """The application, guarded and measured, and traced where `tracing` is given. Without an
    `editor` nobody may edit labels."""
    api = FastAPI(
        title="lmtx tagger",
        version=__version__,
        responses=ERROR_RESPONSES,
        summary="Tags documents with labels of a closed label set",
    )
    install_error_handlers(api)
    api.add_exception_handler(Refusal, _refused)
    _add_tagging(api, backend, telemetry, tracing or Tracing())
    _add_feedback(api, backend, keeper or Keeper())
    add_edits(api, editor)
    _add_labels(api, backend)
    _add_operations(api, backend, telemetry)
    mount_page(api)
    api.add_middleware(Guard, settings=guard)
    api.add_middleware(Measured, telemetry=telemetry)
    if tracing is not None:
        api.add_middleware(Traced, tracing=tracing)
    return api


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error_response(request.scope, error.status, error.code, error.problems, error.headers)


def _add_tagging(api: FastAPI, backend: Backend, telemetry: Telemetry, tracing: Tracing) -> None:
    @api.post("/v1/tag", response_model=contracts.TagResponse)
    async def tag(request: contracts.TagRequest) -> Response:
        """Tag up to 128 documents. All tags of a response come from the bundle it names."""
        answers = await tag_in_chunks(backend, _calls(request))
        for answer in answers:
            telemetry.answered(answer)
            tracing.answered(answer)
        rows = [row for answer in answers for row in answer.rows]
        results = [
            _result(row | _too_long(document), request.explain)
            for row, document in zip(rows, request.documents, strict=True)
        ]
        body = {
            "bundle_id": answers[0].bundle_id,
            "wanted": vars(answers[0].wanted),
            "partial": any(answer.partial for answer in answers),
            "results": results,
        }
        return Response(json.dumps(body), media_type="application/json")


def _calls(request: contracts.TagRequest) -> list[TagCall]:
    documents: list[tuple[str, str | None, str]] = [
        (one.id, None, "") if _too_long(one) else (one.id, one.title, one.text)
        for one in request.documents
    ]
    filters = tuple(_filter(one) for one in request.documents)
    return [
        TagCall(
            documents[start : start + CHUNK_DOCUMENTS],
            request.top_k,
            request.min_probability,
            _filter(request),
            filters[start : start + CHUNK_DOCUMENTS] if any(filters) else (),
            request.explain,
            first=start,
        )
        for start in range(0, len(documents), CHUNK_DOCUMENTS)
    ]


def _filter(said: contracts.Filtered) -> Filter:
    return Filter.of(said.allow, said.deny, said.under)


def _too_long(document: contracts.Document) -> dict[str, str]:
    """The reason of a document that is asked without its text, as it has too much; else nothing."""
    if document.characters <= contracts.MOST_CHARACTERS:
        return {}
    return {
        "reason": f"too long: {document.characters:,} characters, at most "
        f"{contracts.MOST_CHARACTERS:,} are taken; send it in parts"
    }


async def tag_in_chunks(backend: Backend, calls: Sequence[TagCall]) -> list[Answer]:
    """An answer for each call, all of one bundle.

    While a promotion goes on, replicas may answer for either bundle: the calls that differ from the
    first are asked again for its bundle, and if it is gone, all are asked again.

    Raises:
        Refusal: A replica refused, or the bundle changed with every try.
    """
    for _ in range(TRIES):
        answers = await asyncio.gather(*(backend.tag(call) for call in calls))
        wanted = answers[0].bundle_id
        for place, answer in enumerate(answers):
            if answer.bundle_id != wanted:
                pinned = TagCall(**{**vars(calls[place]), "bundle_id": wanted})
                answers[place] = await backend.tag(pinned)
        if all(answer.bundle_id == wanted for answer in answers):
            return list(answers)
    raise Refusal(503, "bundle_changing", [((), "the bundle is changing")], {"Retry-After": "1"})


def _result(row: dict[str, Any], explain: bool) -> dict[str, Any]:
    tags = tags_of(row)
    if explain:
        for tag, parents, evidence in zip(
            tags, row.get("parents", ()), row.get("evidence", ()), strict=False
        ):
            tag |= {"parents": [_entry(parent) for parent in parents], "evidence": evidence}
    return {"id": row["doc_id"], "tags": tags, "reason": row["reason"]}


def _add_feedback(api: FastAPI, backend: Backend, keeper: Keeper) -> None:
    @api.post("/v1/feedback", response_model=FeedbackResponse)
    async def feedback(body: FeedbackRequest, request: Request) -> Response:
        """What a person says of tags, as rows for `lmtx verdicts import`; no document's text is
        kept."""
        bundle_id, texts = await backend.label_texts(keys_without_text(body.documents))
        rows, problems = rows_of(body.documents, texts, getattr(request.state, "key_name", ""))
        kept = await asyncio.to_thread(keeper.keep, rows)
        answer = FeedbackResponse(bundle_id=bundle_id, kept=kept, rows=rows, problems=problems)
        return Response(answer.model_dump_json(), media_type="application/json")


def _entry(label: Label) -> dict[str, str]:
    return {"key": label.key, "label": label.text}


def _add_labels(api: FastAPI, backend: Backend) -> None:
    @api.head("/v1/labels", include_in_schema=False)
    @api.get("/v1/labels", response_model=contracts.LabelsResponse)
    async def labels(
        q: Annotated[contracts.Name, Query(description="part of a label or a key")] = "",
        limit: Annotated[int, Query(ge=1, le=contracts.MOST_LABELS)] = 20,
    ) -> Response:
        """Search the label set; without a query, its size."""
        bundle_id, count, found = await backend.labels(q, limit)
        entries = [_entry(label) for label in found]
        return JSONResponse({"bundle_id": bundle_id, "count": count, "labels": entries})

    @api.head("/v1/labels/{key:path}", include_in_schema=False)
    @api.get(
        "/v1/labels/{key:path}",
        response_model=contracts.LabelResponse,
        responses={
            404: {"description": "No label has this key", "model": ERROR_RESPONSES[422]["model"]}
        },
    )
    async def label(key: Annotated[contracts.Name, PathParameter(min_length=1)]) -> Response:
        """One label, with the way up from it, nearest first."""
        bundle_id, found, parents, removed = await backend.label(key)
        if found is None:
            message = f"it was removed on {removed}" if removed else "no label has this key"
            raise Refusal(404, "no_such_label", [(["path", "key"], message)])
        entries = [_entry(parent) for parent in parents]
        return JSONResponse({"bundle_id": bundle_id, **_entry(found), "parents": entries})


def _add_operations(api: FastAPI, backend: Backend, telemetry: Telemetry) -> None:
    kept = _Kept(backend)

    @api.head("/healthz", include_in_schema=False)
    @api.get("/healthz", response_model=contracts.Health)
    async def healthz() -> Response:
        """Whether this process is alive, and the bundle that answers."""
        state = await kept.state()
        status = "ok" if state["bundle_id"] else "starting"
        return JSONResponse({"status": status, "bundle_id": state["bundle_id"] or None})

    @api.head("/readyz", include_in_schema=False)
    @api.get(
        "/readyz",
        response_model=contracts.Readiness,
        responses={503: {"description": "Not ready", "model": contracts.Readiness}},
    )
    async def readyz() -> Response:
        """Whether requests will be answered; 503 if not."""
        state = await kept.state()
        ready = bool(state["bundle_id"])
        body = {
            "ready": ready,
            "bundle_id": state["bundle_id"] or None,
            "promotion": state["promotion"],
            "defaults": state["defaults"] or None,
            "bundle": state.get("about") or None,
        }
        return JSONResponse(body, 200 if ready else 503)

    @api.head("/metrics", include_in_schema=False)
    @api.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics of this ingress process."""
        return Response(telemetry.text(), media_type=CONTENT_TYPE)


class _Kept:
    """The backend's state, asked at most once a second: health checks must not become a load. Who
    comes while it is asked waits for the answer, as what was kept may be of long ago."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._until, self._state = backend, 0.0, _unknown()
        self._asking: asyncio.Task[None] | None = None

    async def state(self) -> dict[str, Any]:
        if self._asking is None and time.monotonic() >= self._until:
            # in no caller's context, whose end would be that of the question
            self._asking = asyncio.create_task(self._ask(), context=Context())
        if self._asking is not None:
            await asyncio.shield(self._asking)
        return self._state

    async def _ask(self) -> None:
        try:
            self._state = await self._backend.state()
        except Refusal as refusal:
            self._state = _unknown(refusal.code)
        finally:
            self._until, self._asking = time.monotonic() + 1.0, None


def _unknown(promotion: str = "") -> dict[str, Any]:
    return {"bundle_id": "", "promotion": promotion, "defaults": {}}
