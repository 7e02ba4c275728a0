"""Limits: each refusal has its status, the one shape, and reaches a real client."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from serve_apps.guard import Guard, GuardSettings, new_key, parse_keys
from serve_apps.guard.rate import TokenBuckets
from tests.serving.contract_app import contract_app, serving
from tests.serving.sending import send

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    settings = GuardSettings(requests_per_minute=0, documents_per_minute=0)
    with serving(contract_app(settings)) as base:
        yield base


async def pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b"a" * 65536


def send_raw(url: str, head: str, body: bytes) -> http.client.HTTPResponse:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(f"POST /v1/tag HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    return reply


def test_ten_megabytes_are_refused_with_413(url: str) -> None:
    body = b'{"documents": ["' + b"a" * (10 * MIB) + b'"]}'
    reply = httpx.post(f"{url}/v1/tag", content=body, headers=JSON)
    assert reply.status_code == 413
    assert reply.json()["detail"] == [
        {"loc": ["body"], "msg": "the body is larger than 2097152 bytes"}
    ]


def test_chunked_body_without_a_length_is_cut_at_the_limit(url: str) -> None:
    async def post() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.post(f"{url}/v1/tag", content=pieces(10 * MIB), headers=JSON)

    assert asyncio.run(post()).status_code == 413


def test_length_that_promises_more_than_comes_is_a_timeout() -> None:
    head = "Content-Type: application/json\r\nContent-Length: 500"
    with serving(contract_app(GuardSettings(body_seconds=0.4))) as url:
        reply = send_raw(url, head, b'{"documents": [')
    assert (reply.status, reply.headers["Connection"]) == (408, "close")


def test_length_that_promises_less_than_comes_leaves_a_short_body(url: str) -> None:
    body = b'{"documents": ["a"]}'
    head = "Content-Type: application/json\r\nContent-Length: 5"
    assert send_raw(url, head, body).status == 400


def test_length_smaller_than_an_asgi_body_does_not_lift_the_limit() -> None:
    messages = [{"type": "http.request", "body": b"a" * 600, "more_body": True}] * 4
    status = run_raw(
        contract_app(GuardSettings(max_body_bytes=1000)), messages, [(b"content-length", b"10")]
    )
    assert status == 413


def run_raw(app: Any, messages: list[dict], headers: list[tuple[bytes, bytes]]) -> int:
    sent: list[dict] = []

    async def receive() -> dict:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/tag",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"] if sent else 0


def test_a_client_that_goes_away_is_no_fault_of_the_service() -> None:
    app = contract_app(GuardSettings(metrics="open"))
    began = {"type": "http.request", "body": b'{"docu', "more_body": True}
    assert run_raw(app, [began], []) == 0
    told = send(path="/metrics", method="GET", api=app).text
    assert 'status="499"' in told
    assert 'status="500"' not in told


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_other_media_types_are_refused_with_415(url: str, headers: dict[str, str]) -> None:
    reply = httpx.post(f"{url}/v1/tag", content=b'{"documents": ["a"]}', headers=headers)
    assert reply.status_code == 415
    assert reply.json()["detail"][0]["loc"] == ["header", "Content-Type"]


def test_json_with_a_charset_is_accepted(url: str) -> None:
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    reply = httpx.post(f"{url}/v1/tag", content='{"documents": ["é"]}'.encode(), headers=headers)
    assert reply.status_code == 200


def clock_free_app(settings: GuardSettings, work: Callable[[], Any]) -> FastAPI:
    api = FastAPI()

    @api.post("/work")
    async def _work() -> str:
        await work()
        return "done"

    api.add_middleware(Guard, settings=settings)
    return api


async def post_all(api: FastAPI, count: int, **options: Any) -> list[httpx.Response]:
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        tasks = [client.post("/work", json={}, **options) for _ in range(count)]
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize("status", [429, 503])
def test_requests_beyond_those_in_flight_are_refused_at_once(status: int) -> None:
    async def scene() -> list[httpx.Response]:
        release = asyncio.Event()
        api = clock_free_app(GuardSettings(max_in_flight=3, busy_status=status), release.wait)
        first = [asyncio.create_task(post_all(api, 1)) for _ in range(8)]
        while sum(task.done() for task in first) < 5:
            await asyncio.sleep(0.01)
        release.set()
        found = [reply for task in first for reply in await task]
        return [*found, *await post_all(api, 3)]

    replies = asyncio.run(scene())
    refused = [reply for reply in replies[:8] if reply.status_code == status]
    assert len(refused) == 5
    assert all(reply.headers["Retry-After"] == "1" for reply in refused)
    assert [reply.status_code for reply in replies[8:]] == [200] * 3


def test_request_that_outlives_its_deadline_is_answered_503() -> None:
    async def scene() -> httpx.Response:
        api = clock_free_app(GuardSettings(request_seconds=0.05), asyncio.Event().wait)
        return (await post_all(api, 1))[0]

    reply = asyncio.run(scene())
    assert (reply.status_code, reply.json()["error"]) == (503, "deadline")
    assert reply.headers["Retry-After"] == "1"


def test_timeout_of_the_application_itself_is_its_fault() -> None:
    async def fail() -> None:
        raise TimeoutError

    reply = asyncio.run(post_all(clock_free_app(GuardSettings(), fail), 1))[0]
    assert (reply.status_code, reply.json()["error"]) == (500, "internal")


def test_each_key_has_its_own_rate() -> None:
    (anna, first), (ben, second) = new_key("anna"), new_key("ben")
    keys = parse_keys([first, second], "test")
    settings = GuardSettings(keys=keys, requests_per_minute=12, burst_seconds=15)

    async def scene() -> list[httpx.Response]:
        api = clock_free_app(settings, lambda: asyncio.sleep(0))
        return [
            *await post_all(api, 5, headers={"X-API-Key": anna}),
            *await post_all(api, 1, headers={"X-API-Key": ben}),
        ]

    replies = asyncio.run(scene())
    assert [reply.status_code for reply in replies] == [200] * 3 + [429] * 2 + [200]
    assert 1 <= int(replies[3].headers["Retry-After"]) <= 5


def test_documents_are_counted_against_their_own_rate() -> None:
    settings = GuardSettings(documents_per_minute=6, burst_seconds=100)

    async def scene() -> list[int]:
        transport = httpx.ASGITransport(contract_app(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            sizes = (9, 2, 1)
            return [
                (await client.post("/v1/tag", json={"documents": ["a"] * size})).status_code
                for size in sizes
            ]

    assert asyncio.run(scene()) == [200, 429, 200]


def test_bucket_refills_with_time_and_never_beyond_its_burst() -> None:
    buckets = TokenBuckets(per_minute=60, burst_seconds=5)
    assert [buckets.take("a", 1, 0.0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a", 1, 0.0) == pytest.approx(1.0)
    assert buckets.take("a", 1, 1.0) == 0.0
    assert [buckets.take("a", 1, 1000.0) > 0 for _ in range(6)] == [False] * 5 + [True]


def test_batch_larger_than_a_full_bucket_passes_on_credit() -> None:
    buckets = TokenBuckets(per_minute=60, burst_seconds=5)
    assert buckets.take("a", 20, 0.0) == 0.0
    assert buckets.take("a", 20, 10.0) == pytest.approx(10.0)
    assert buckets.take("a", 20, 20.0) == 0.0


def test_buckets_forget_the_longest_unused() -> None:
    buckets = TokenBuckets(per_minute=6, burst_seconds=10, most=100)
    for number in range(10_000):
        buckets.take(f"address {number}", 1, float(number) / 1000)
    assert len(buckets) == 100
    assert buckets.take("address 9999", 1, 10.0) > 0
    assert buckets.take("address 0", 1, 10.0) == 0


def test_deadline_and_key_name_reach_the_application() -> None:
    secret, line = new_key("anna")
    api, seen = FastAPI(), {}

    @api.get("/look")
    async def look(request: Request) -> None:
        seen.update(request.scope["state"])

    settings = GuardSettings(keys=parse_keys([line], "test"), request_seconds=7)
    api.add_middleware(Guard, settings=settings)
    headers = {"X-API-Key": secret, "X-Request-ID": "my-id.1"}

    async def get() -> None:
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            await client.get("/look", headers=headers)

    asyncio.run(get())
    assert (seen["request_id"], seen["key_name"]) == ("my-id.1", "anna")
    assert 0 < seen["deadline"] - time.monotonic() <= 7
