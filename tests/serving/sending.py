"""Requests to the guarded contract, sent without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from serve_apps.guard import GuardSettings
from tests.serving.contract_app import contract_app

JSON = {"Content-Type": "application/json"}
OPEN = GuardSettings(requests_per_minute=0, documents_per_minute=0)


def send(
    content: bytes | str = b"",
    path: str = "/v1/tag",
    method: str = "POST",
    api: FastAPI | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(api or contract_app(OPEN), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(
                method, path, content=content, headers={**JSON, **(headers or {})}
            )

    return asyncio.run(request())


def first_problem(reply: httpx.Response) -> tuple[int, list[Any]]:
    body = reply.json()
    assert set(body) == {"error", "detail", "request_id"}
    assert body["request_id"] == reply.headers["X-Request-ID"]
    return reply.status_code, body["detail"][0]["loc"]
