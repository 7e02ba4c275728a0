"""The service's own application over a backend with canned tags: all but Ray and the model."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import uvicorn
from fastapi import FastAPI

from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_set import Label, LabelSet
from serve_apps.api import build_api
from serve_apps.generation import Answer, TagCall
from serve_apps.guard import GuardSettings, Refusal
from serve_apps.telemetry import Telemetry

BUNDLE, PLAIN = "bundle-7f3a", Defaults()
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


def label_set() -> LabelSet:
    """LABELS, where a key's beginning up to a point is its parent's."""
    parents = [[key.rpartition(".")[0]] if "." in key else None for key in LABELS]
    table = pa.table(
        {
            "label_id": range(len(LABELS)),
            "label_key": list(LABELS),
            "text": list(LABELS.values()),
            "parent_keys": parents,
        }
    )
    return LabelSet.of(schemas.conform(table, schemas.LABELS))


class Canned:
    """A backend that knows one answer. `make a fault` in a text makes it fail with the text in its
    error, `be unavailable` makes it refuse, and `nothing fits` finds no tag."""

    def __init__(self, defaults: Defaults) -> None:
        self._labels, self._defaults = label_set(), defaults

    async def tag(self, call: TagCall) -> Answer:
        texts = [f"{title or ''} {text}" for _, title, text in call.documents]
        if any("make a fault" in text for text in texts):
            raise RuntimeError(f"cannot tag {texts}")
        if any("be unavailable" in text for text in texts):
            problem = ((), "no replica is ready")
            raise Refusal(503, "not_ready", [problem], {"Retry-After": "2"})
        ids = [doc_id for doc_id, _, _ in call.documents]
        rows = [self._row(call, *one) for one in zip(ids, texts, strict=True)]
        seconds = {"queue": 0.001, "encode": 0.02, "search": 0.004, "rank": 0.002}
        return Answer(BUNDLE, rows, seconds=seconds, batch_documents=len(rows), tokens=9)

    def _row(self, call: TagCall, doc_id: str, text: str) -> dict[str, Any]:
        wanted = self._defaults.or_else(call.top_k, call.min_probability)
        found = [
            (key, probability)
            for key, probability in CANNED
            if probability >= wanted.min_probability
            and (call.filter.allow is None or key in call.filter.allow)
        ]
        found = found[: wanted.top_k] if text.strip() and "nothing fits" not in text else []
        reason = "" if found else "no label was found" if text.strip() else "empty"
        return {
            "doc_id": doc_id,
            "label_keys": [key for key, _ in found],
            "labels": [LABELS[key] for key, _ in found],
            "scores": [1 / rank for rank in range(1, len(found) + 1)],
            "probabilities": [probability for _, probability in found],
            "reason": reason,
            "parents": [self._labels.parents(key) for key, _ in found],
            "evidence": [evidence(rank) for rank in range(1, len(found) + 1)],
        }

    async def labels(self, query: str, limit: int) -> tuple[str, int, list[Label]]:
        return BUNDLE, len(LABELS), self._labels.search(query, limit)

    async def label(self, key: str) -> tuple[str, Label | None, list[Label], str]:
        return BUNDLE, self._labels.label(key), self._labels.parents(key), ""

    async def label_texts(self, keys: Sequence[str]) -> tuple[str, dict[str, str]]:
        return BUNDLE, {key: LABELS[key] for key in keys if key in LABELS}

    async def state(self) -> dict[str, Any]:
        return {"bundle_id": BUNDLE, "promotion": "", "defaults": vars(self._defaults)}


def evidence(rank: int) -> dict[str, Any]:
    words = ["heart"] if rank == 1 else []
    return {"cosine": 0.52, "dense_rank": rank, "lexical_rank": None, "words": words}


def contract_app(
    settings: GuardSettings | None = None, defaults: Defaults = PLAIN, **more: Any
) -> FastAPI:
    """The guarded application over a canned backend, whose bundle has these defaults."""
    return build_api(Canned(defaults), settings or GuardSettings(), Telemetry(), **more)


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
