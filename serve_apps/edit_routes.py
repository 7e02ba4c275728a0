"""The routes that edit labels, over an editor, with no Ray in them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import FastAPI
from fastapi import Path as PathParameter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve_apps.contracts import Name
from serve_apps.edit_contracts import DeleteLabels, Edit, PutLabels
from serve_apps.guard import ERROR_RESPONSES, LABELS_RIGHT, Refusal

PUT, REMOVE = "put", "remove"
BUSY, ANOTHER, INVALID, FAILED = "busy", "another_bundle", "invalid", "failed"
SPARE_SECONDS = 2.0  # of a request's time, kept to answer in
GOES_ON = {"making", "promoting"}
CONFLICT = {"description": "Another edit is under way, or another bundle answers"}
PROBLEMS = {BUSY: 409, ANOTHER: 409, INVALID: 422, FAILED: 500}
EDIT_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"model": Edit, "description": "It goes on: ask /v1/edits/ID how it stands"},
    409: {**CONFLICT, "model": ERROR_RESPONSES[422]["model"]},
}


@dataclass(frozen=True)
class EditCall:
    """`kind` is PUT or REMOVE; `rows` are labels by their fields' names, of REMOVE keys alone."""

    kind: str
    rows: Sequence[dict[str, Any]]
    promote: bool = False
    of: str | None = None


class Editor(Protocol):
    """What the routes ask; each raises Refusal where there is no answer."""

    async def edit(self, call: EditCall, seconds: float) -> dict[str, Any]:
        """How an edit stands after so many seconds, or when it ended: the fields of Edit, and
        `code`, one of PROBLEMS, where there is a `problem`."""

    async def edit_state(self, edit_id: str) -> dict[str, Any] | None:
        """The same of one that began before; None of one that is not known."""


def add_edits(api: FastAPI, editor: Editor | None) -> None:
    """Add the routes; without an editor nobody has a key that may use them."""

    @api.put("/v1/labels", response_model=Edit, responses=EDIT_RESPONSES)
    async def put_labels(body: PutLabels, request: Request) -> Response:
        """Add labels, and change those that are there, in a new bundle. Needs a key with the right
        `labels`."""
        call = EditCall(PUT, [label.row() for label in body.labels], body.promote, body.of)
        return await _edit(_allowed(request, editor), call, request)

    @api.delete("/v1/labels", response_model=Edit, responses=EDIT_RESPONSES)
    async def delete_labels(body: DeleteLabels, request: Request) -> Response:
        """Remove labels, in a new bundle. Needs a key with the right `labels`."""
        call = EditCall(REMOVE, [{"key": key} for key in body.keys], body.promote, body.of)
        return await _edit(_allowed(request, editor), call, request)

    @api.head("/v1/edits/{edit_id}", include_in_schema=False)
    @api.get("/v1/edits/{edit_id}", response_model=Edit)
    async def edit(edit_id: Annotated[Name, PathParameter(min_length=1)], request: Request) -> Any:
        """How an edit stands. Needs a key with the right `labels`."""
        state = await _allowed(request, editor).edit_state(edit_id)
        if state is None:
            raise Refusal(404, "no_such_edit", [(["path", "edit_id"], "no edit has this id")])
        return JSONResponse(_shown(state))


def _allowed(request: Request, editor: Editor | None) -> Editor:
    """Refusal 403 for a key without the right, and for everybody where there are no keys."""
    if LABELS_RIGHT not in getattr(request.state, "rights", ()) or editor is None:
        message = f"this needs an API key with the right {LABELS_RIGHT!r}"
        raise Refusal(403, "forbidden", [(["header", "Authorization"], message)])
    return editor


async def _edit(editor: Editor, call: EditCall, request: Request) -> Response:
    left = request.state.deadline - time.monotonic() - SPARE_SECONDS
    state = await editor.edit(call, max(left, 0.0))
    if code := state.get("code"):
        where = ["body", "labels" if call.kind == PUT else "keys"]
        retry = {"Retry-After": "5"} if code == BUSY else {}
        raise Refusal(PROBLEMS[code], code, [(where, state["problem"])], retry)
    return JSONResponse(_shown(state), 202 if state["state"] in GOES_ON else 200)


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    return Edit(**{name: value for name, value in state.items() if name != "code"}).model_dump()
