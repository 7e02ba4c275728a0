"""A small application with the service's contract and canned tags, to put the guard around."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serve_apps.guard import (
    ERROR_RESPONSES,
    Guard,
    GuardSettings,
    PlainText,
    install_error_handlers,
)
from serve_apps.page import mount_page

Text = Annotated[PlainText, StringConstraints(max_length=100_000)]
LABELS = {
    "C14": "Cardiovascular Diseases",
    "C14.280": "Heart Diseases",
    "C14.280.647": "Myocardial Infarction",
    "C10": "Nervous System Diseases",
    "C10.228": "Headache Disorders",
    "E02": "Therapeutics",
    "X99": "<img src=x onerror=alert(1)>",
}
CANNED = (("C14.280.647", 0.94), ("C14.280", 0.71), ("E02", 0.33), ("C10.228", 0.12), ("X99", 0.02))


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Document(Strict):
    id: Text = ""
    title: Text | None = None
    text: Text


class TagRequest(Strict):
    """What to tag."""

    documents: list[Document | Text] = Field(
        min_length=1, max_length=128, examples=[["chest pain after exercise"]]
    )
    top_k: int = Field(5, ge=1, le=100)
    min_probability: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    allow: list[Text] | None = Field(None, max_length=10_000)
    deny: list[Text] = Field(default=[], max_length=10_000)
    explain: bool = False


class TagResponse(BaseModel):
    bundle_id: str
    results: list[dict[str, Any]]


def ancestors(key: str) -> list[dict[str, str]]:
    parts = key.split(".")
    keys = [".".join(parts[:n]) for n in range(1, len(parts))]
    return [{"key": parent, "label": LABELS[parent]} for parent in keys]


def canned_tags(top_k: int, explain: bool) -> list[dict[str, Any]]:
    tags = []
    for rank, (key, probability) in enumerate(CANNED[:top_k], 1):
        tag = {"key": key, "label": LABELS[key], "score": 1 / rank, "probability": probability}
        if explain:
            tag["parents"] = ancestors(key)
            tag["evidence"] = {
                "cosine": 0.52,
                "dense_rank": rank,
                "lexical_rank": None,
                "words": ["heart"] if rank == 1 else [],
            }
        tags.append(tag)
    return tags


def contract_app(settings: GuardSettings | None = None) -> FastAPI:
    """The guarded application; `fault` in a document makes it fail with the text in its error."""
    api = FastAPI(title="lmtx tagger", version="1", responses=ERROR_RESPONSES)

    @api.post("/v1/tag")
    async def tag(body: TagRequest, request: Request) -> TagResponse:
        """Tag up to 128 documents."""
        texts = [one if isinstance(one, str) else one.text for one in body.documents]
        if any("make a fault" in text for text in texts):
            raise RuntimeError(f"cannot tag {texts}")
        if any("be unavailable" in text for text in texts):
            raise HTTPException(503, "no replica is ready", {"Retry-After": "2"})
        results = [
            {
                "id": "",
                "tags": canned_tags(body.top_k, body.explain) if text.strip() else [],
                "reason": "" if text.strip() else "empty",
            }
            for text in texts
        ]
        return TagResponse(bundle_id="bundle-7f3a", results=results)

    @api.get("/v1/labels")
    async def labels(
        q: Annotated[PlainText, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> dict[str, Any]:
        """Labels whose text contains the words."""
        found = [
            {"key": key, "label": text} for key, text in LABELS.items() if q.lower() in text.lower()
        ]
        return {"bundle_id": "bundle-7f3a", "count": len(LABELS), "labels": found[:limit]}

    @api.get("/v1/labels/{key}")
    async def label(key: str) -> dict[str, Any]:
        """One label with its parents."""
        if key not in LABELS:
            raise HTTPException(404, "no such label")
        return {"key": key, "label": LABELS[key], "parents": ancestors(key)}

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The bundle that answers."""
        return {"status": "ok", "bundle_id": "bundle-7f3a"}

    @api.get("/metrics", include_in_schema=False)
    async def metrics() -> dict[str, int]:
        return {"requests": 1}

    mount_page(api)
    install_error_handlers(api)
    api.add_middleware(Guard, settings=settings or GuardSettings())
    return api


@contextmanager
def serving(api: Any) -> Iterator[str]:
    """The base URL of the application on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(api, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
