"""What a request may hold: what batch tagging takes, and a reason where it is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from serve_apps.contracts import MOST_CHARACTERS
from serve_apps.guard import GuardSettings
from tests.serving.contract_app import BUNDLE, contract_app, serving
from tests.serving.sending import send


def results(documents: list[Any], **more: Any) -> list[dict[str, Any]]:
    reply = send(json.dumps({"documents": documents, **more}))
    assert reply.status_code == 200, reply.text
    assert reply.json()["bundle_id"] == BUNDLE
    return reply.json()["results"]


def test_documents_may_have_number_ids_a_title_alone_and_other_fields() -> None:
    found = results(
        ["heart", {"id": 7, "text": "heart"}, {"title": "heart"}, {"text": "heart", "year": 1999}]
    )
    assert [result["id"] for result in found] == ["", "7", "", ""]
    assert all(result["tags"] for result in found)


@pytest.mark.parametrize(
    ("document", "loc", "said"),
    [
        (1, [], "needs a text, or an object with text"),
        (None, [], "needs a text, or an object with text"),
        ({"id": "a"}, [], "needs a text or a title"),
        ({"text": 1}, ["text"], "Input should be a valid string"),
        ({"text": "a", "id": 1.5}, ["id"], "Input should be a valid string"),
        ({"text": "a", "id": True}, ["id"], "Input should be a valid string"),
        ({"text": "a", "id": "x" * 1001}, ["id"], "String should have at most 1000 characters"),
    ],
)
def test_what_is_wrong_with_a_document_is_one_entry_that_a_user_can_read(
    document: Any, loc: list[str], said: str
) -> None:
    reply = send(json.dumps({"documents": ["a", document]}))
    assert reply.status_code == 422
    assert reply.json()["detail"] == [{"loc": ["body", "documents", 1, *loc], "msg": said}]


def test_a_text_that_is_too_long_does_not_refuse_the_others() -> None:
    most = {"id": "most", "text": "a" * MOST_CHARACTERS}
    more = {"id": "more", "title": "abcde", "text": "a" * MOST_CHARACTERS}
    first, second, third = results([most, more, "heart"])
    assert (bool(first["tags"]), first["reason"]) == (True, "")
    assert (second["id"], second["tags"]) == ("more", [])
    assert second["reason"] == (
        "too long: 100,005 characters, at most 100,000 are taken; send it in parts"
    )
    assert third["tags"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/labels", "/", "/docs"])
def test_head_is_answered_as_get_is(path: str) -> None:
    reply, got = (send(path=path, method=method) for method in ("HEAD", "GET"))
    assert reply.status_code == got.status_code
    assert reply.headers["Content-Type"] == got.headers["Content-Type"]
    assert reply.headers["X-Request-ID"]


def test_labels_are_found_by_the_beginning_of_a_word() -> None:
    reply = send(path="/v1/labels?q=dise&limit=1", method="GET")
    assert reply.json()["labels"] == [{"key": "C14.280", "label": "Heart Diseases"}]


def test_metrics_count_requests_by_the_pattern_of_their_route() -> None:
    with serving(contract_app(GuardSettings(host="127.0.0.1"))) as url:
        for path in ("/v1/labels/C14", "/v1/labels/E02", "/v1/nothing"):
            httpx.get(f"{url}{path}")
        text = httpx.get(f"{url}/metrics").text
    counted = dict(re.findall(r'lmtx_requests_total{.*route="([^"]+)".*} (\d+)', text))
    assert counted == {"/v1/labels/{key:path}": "2", "other": "1"}
