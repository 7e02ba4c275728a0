"""What `/readyz` and `/v1/tag` say of a bundle that has a name, and of one that is untrained."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lmtx_ray.corpus.label_set import Label
from serve_apps.api import build_api
from serve_apps.generation import Answer, TagCall
from serve_apps.guard import GuardSettings
from serve_apps.telemetry import Telemetry

ABOUT = {
    "name": "news",
    "created": "2026-11-26T06:00:00Z",
    "documents": 300,
    "labels": 640,
    "cycles": 0,
    "untrained": True,
    "quality": "untrained; nobody has judged it",
}


class Untrained:
    """A backend with one label, of which nobody knows how probable it is."""

    def __init__(self, about: dict[str, Any]) -> None:
        self._state = {"bundle_id": "b", "promotion": "", "defaults": {}, "about": about}

    async def tag(self, call: TagCall) -> Answer:
        row = {
            "doc_id": "0",
            "label_keys": ["L1"],
            "labels": ["heart"],
            "scores": [0.5],
            "probabilities": [None],
            "reason": "",
        }
        return Answer("b", [row], False)

    async def labels(self, query: str, limit: int) -> tuple[str, int, list[Label]]:
        return "b", 1, []

    async def label(self, key: str) -> tuple[str, Label | None, list[Label], str]:
        return "b", None, [], ""

    async def state(self) -> dict[str, Any]:
        return self._state


class Slow(Untrained):
    """It tells its state when it is let go, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked, self.go = 0, asyncio.Event()

    async def state(self) -> dict[str, Any]:
        self.asked += 1
        await self.go.wait()
        return self._state


def api_of(backend: Untrained) -> FastAPI:
    settings = GuardSettings.from_environment({}, host="127.0.0.1")
    return build_api(backend, settings, Telemetry())


def client(about: dict[str, Any]) -> TestClient:
    return TestClient(api_of(Untrained(about)), "http://127.0.0.1")


@pytest.mark.parametrize(("about", "told"), [(ABOUT, ABOUT), ({}, None)])
def test_readiness_tells_what_a_bundle_is_known_by(about: dict, told: dict | None) -> None:
    body = client(about).get("/readyz").json()
    assert (body["ready"], body["bundle_id"]) == (True, "b")
    assert body["bundle"] == told


def test_a_tag_that_nobody_judged_has_no_probability() -> None:
    reply = client({}).post("/v1/tag", json={"documents": ["heart"]})
    assert reply.status_code == 200, reply.text
    (result,) = reply.json()["results"]
    assert result["tags"][0]["probability"] is None


@pytest.mark.parametrize("first_leaves", [False, True])
def test_probes_at_once_share_one_question_and_its_answer(first_leaves: bool) -> None:
    async def scenario() -> tuple[int, list[int]]:
        backend = Slow()
        transport = httpx.ASGITransport(api_of(backend))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asked:
            probes = [asyncio.create_task(asked.get("/readyz")) for _ in range(3)]
            while not backend.asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)  # all of them wait
            if first_leaves:
                probes.pop(0).cancel()
                await asyncio.sleep(0.01)
            backend.go.set()
            replies = [await probe for probe in probes] + [await asked.get("/healthz")]
        return backend.asked, [reply.status_code for reply in replies]

    asked, statuses = asyncio.run(scenario())
    assert (asked, set(statuses)) == (1, {200})
