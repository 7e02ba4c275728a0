"""The files of the page as they are sent."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.serving.contract_app import contract_app


def get(path: str) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(contract_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(request())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/static/app.js", "text/javascript"),
        ("/static/style.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_file_has_its_type_and_names_no_other_host(path: str, kind: str) -> None:
    reply = get(path)
    assert reply.headers["Content-Type"].startswith(kind)
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert "https://" not in reply.text
    assert "http://" not in reply.text.replace("http://www.w3.org/2000/svg", "")
