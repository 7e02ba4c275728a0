"""The tagging service: `POST /v1/tag`, `GET /healthz`, one Tagger in each replica.

    lmtx serve --bundle FOLDER
    serve run serve_apps.tagger:app bundle=FOLDER
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import Annotated, Any

import ray
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from ray import serve
from ray.serve.schema import LoggingConfig

from lmtx_ray.tagger import Tagger

MOST_DOCUMENTS, MOST_CHARACTERS, MOST_TAGS, MOST_KEYS = 128, 100_000, 100, 10_000


def _plain(value: str) -> str:
    if any(char == "\0" or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise ValueError("NUL characters and lone surrogates are not text")
    return value


Text = Annotated[str, StringConstraints(max_length=MOST_CHARACTERS), AfterValidator(_plain)]
Name = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_plain)]


class TaggerArgs(BaseModel):
    """Arguments of the application builder."""

    model_config = ConfigDict(extra="forbid")

    bundle: str
    threads: int = Field(1, ge=1)


class Document(BaseModel):
    """A document to tag; `id` is given back."""

    model_config = ConfigDict(extra="forbid")

    id: Name = ""
    title: Text | None = None
    text: Text


class TagRequest(BaseModel):
    """Documents, or bare texts, and what tags may look like."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Document | Text] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    top_k: int = Field(5, ge=1, le=MOST_TAGS)
    min_probability: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    allow: list[str] | None = Field(None, max_length=MOST_KEYS)
    deny: list[str] = Field(default=[], max_length=MOST_KEYS)


class Tag(BaseModel):
    key: str
    label: str
    score: float
    probability: float


class Result(BaseModel):
    """One document's tags; `reason` says why there are none."""

    id: str
    tags: list[Tag]
    reason: str


class TagResponse(BaseModel):
    bundle_id: str
    results: list[Result]


def _result(row: dict[str, Any]) -> Result:
    # above the service: serve.ingress pickles it, and what it knows, where it is defined
    columns = (row["label_keys"], row["labels"], row["scores"], row["probabilities"])
    tags = [
        Tag(key=key, label=label, score=score, probability=probability)
        for key, label, score, probability in zip(*columns, strict=True)
    ]
    return Result(id=row["doc_id"], tags=tags, reason=row["reason"])


api = FastAPI(title="lmtx tagger", version="1")


@serve.deployment(ray_actor_options={"num_cpus": 1}, max_ongoing_requests=16)
@serve.ingress(api)
class TaggerService:
    """Loads the bundle in the replica; model calls run in a thread, off the event loop."""

    def __init__(self, bundle: str, threads: int) -> None:
        self._tagger = Tagger.load(bundle, threads=threads)

    @api.post("/v1/tag")
    async def tag(self, request: TagRequest) -> TagResponse:
        """Tag up to 128 documents."""
        documents = [
            Document(text=entry) if isinstance(entry, str) else entry
            for entry in request.documents
        ]
        table = await asyncio.to_thread(
            self._tagger.tag,
            [document.id for document in documents],
            [document.title for document in documents],
            [document.text for document in documents],
            request.top_k,
            request.min_probability,
            None if request.allow is None else set(request.allow),
            set(request.deny),
        )
        results = [_result(row) for row in table.to_pylist()]
        return TagResponse(bundle_id=self._tagger.bundle_id, results=results)

    @api.get("/healthz")
    async def healthz(self) -> dict[str, str]:
        """The bundle this replica serves."""
        return {"status": "ok", "bundle_id": self._tagger.bundle_id}


def app(args: TaggerArgs) -> serve.Application:
    """Entry point of `serve run` and `serve deploy`."""
    return TaggerService.bind(bundle=os.path.abspath(args.bundle) if "://" not in args.bundle
                              else args.bundle, threads=args.threads)  # fmt: skip


def run_blocking(bundle: str, host: str, port: int) -> None:
    """Serve until interrupted; returns after a clean shutdown."""
    Tagger.load(bundle)  # a bad bundle fails here, with its own message
    if not ray.is_initialized():
        ray.init(num_cpus=os.cpu_count(), include_dashboard=False, logging_level=logging.WARNING,
                 log_to_driver=False)  # fmt: skip
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    serve.start(http_options={"host": host, "port": port}, logging_config=quiet)
    serve.run(app(TaggerArgs(bundle=bundle)), name="tagger", logging_config=quiet)
    print(f"serving {bundle} at http://{host}:{port}/v1/tag (Ctrl-C stops)", flush=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()
