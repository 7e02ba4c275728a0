"""One line of JSON for each request and each failure; never what a document or a key says."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Any

from starlette.routing import Match
from starlette.types import Scope

requests = logging.getLogger("lmtx.requests")
failures = logging.getLogger("lmtx.failures")


def log_request(scope: Scope, **fields: Any) -> None:
    """Method and route pattern of the scope (a path may hold a text, its pattern never does)."""
    method = scope["method"] if scope["method"].isalpha() else "?"
    line = {"method": method[:16], "route": route_pattern(scope), **fields}
    requests.info("%s", json.dumps(line))


def log_failure(request_id: str, error: BaseException) -> None:
    """The type and the places of an error; its message may quote the document, so not that."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    line = {"request_id": request_id, "error": type(error).__qualname__, "at": places}
    failures.error("%s", json.dumps(line))


def route_pattern(scope: Scope) -> str:
    """`/v1/labels/{key}`, or an empty string where no route fits."""
    if "route" in scope:
        return str(scope["route"].path)
    for route in getattr(scope.get("app"), "routes", ()):
        if route.matches(scope)[0] is not Match.NONE:
            return str(route.path)
    return ""
