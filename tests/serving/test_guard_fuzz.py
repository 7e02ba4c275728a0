"""The OpenAPI description is kept, whatever is sent: no 5xx, no answer it does not name."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from serve_apps.guard import GuardSettings
from tests.serving.contract_app import contract_app, serving
from tests.serving.fuzzing import fuzz

OPEN = GuardSettings(requests_per_minute=0, documents_per_minute=0)


@pytest.mark.parametrize("examples", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_description_holds_for_requests_made_from_it(examples: int) -> None:
    with serving(contract_app(OPEN)) as url:
        found = fuzz(url, examples=examples)
    assert not found.failures, "\n\n".join(found.failures)
    assert {200, 422} <= found.of("POST /v1/tag")
    assert {200, 422} <= found.of("GET /v1/labels")
    assert not [status for _, status in found.statuses if status >= 500]


def faulty() -> FastAPI:
    api = FastAPI()

    @api.post("/half")
    async def half(body: dict[str, int]) -> dict[str, Any]:
        return {"half": [1 // value for value in body.values()]}

    return api


def test_fault_is_found() -> None:
    with serving(faulty()) as url:
        found = fuzz(url, examples=60)
    assert any("erver error" in failure for failure in found.failures)
    assert 500 in found.of("POST /half")
