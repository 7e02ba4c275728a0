"""Whom a limit counts: a client's own address, told by itself or by a proxy that is known."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from pydantic import ValidationError

from serve_apps.guard import GuardSettings
from serve_apps.ingress import behind_proxy
from tests.serving.contract_app import contract_app

Headers = list[tuple[str, str]]
LOCAL = "127.0.0.1"


def statuses(settings: GuardSettings, requests: list[tuple[str, Headers]]) -> list[int]:
    """Of requests from peers with headers, all to one service."""

    async def scene() -> list[int]:
        api, replies = contract_app(settings), []
        for peer, headers in requests:
            transport = httpx.ASGITransport(api, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                replies.append((await client.get("/v1/labels", headers=headers)).status_code)
        return replies

    return asyncio.run(scene())


def one_each(**more: object) -> GuardSettings:
    return GuardSettings(requests_per_minute=1, burst_seconds=60, **more)


def said(*lines: str) -> Headers:
    return [("X-Forwarded-For", line) for line in lines]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
    ],
)
def test_address_without_keys_is_limited_by_network(first: str, second: str, shared: bool) -> None:
    found = statuses(one_each(), [(first, []), (second, [])])
    assert found == [200, 429 if shared else 200]


@pytest.mark.parametrize(("hops", "expected"), [(0, [200, 429, 429]), (1, [200, 200, 429])])
def test_forwarded_address_counts_only_behind_a_known_proxy(hops: int, expected: list) -> None:
    chains = ("1.1.1.1", "2.2.2.2", "9.9.9.9, 1.1.1.1")
    requests = [(LOCAL, said(chain)) for chain in chains]
    assert statuses(one_each(forwarded_hops=hops), requests) == expected


def test_what_a_stranger_says_of_itself_counts_for_nothing() -> None:
    """It reached the service past the proxy, and invents a client for each request."""
    requests = [("203.0.113.9", said("1.1.1.1")), ("203.0.113.9", said("2.2.2.2"))]
    assert statuses(one_each(forwarded_hops=1), requests) == [200, 429]
    known = one_each(forwarded_hops=1, forwarded_from="10.0.0.0/8, 203.0.113.9")
    assert statuses(known, requests) == [200, 200]


def test_a_line_of_the_client_before_the_line_of_the_proxy_counts_for_nothing() -> None:
    """HAProxy adds a line of its own and leaves the client's where it is."""
    requests = [(LOCAL, said("1.1.1.1", "9.9.9.9")), (LOCAL, said("2.2.2.2", "9.9.9.9"))]
    assert statuses(one_each(forwarded_hops=1), requests) == [200, 429]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("1.1.1.1:5001", "1.1.1.1:5002", [200, 429]),
        ("1.1.1.1:5001", "2.2.2.2:5001", [200, 200]),
        ("[2001:db8::1]:5001", "[2001:db8::2]:5002", [200, 429]),
        ("[2001:db8::1]", "2001:db8::1", [200, 429]),
        ("unknown", "_hidden7", [200, 429]),
        ("1.1.1.1:port", "1.1.1.1:", [200, 429]),
    ],
)
def test_a_proxy_may_tell_ports_and_a_name_is_no_client(
    first: str, second: str, expected: list[int]
) -> None:
    """Each connection has a port of its own; what is no address is told by the proxy's."""
    requests = [(LOCAL, said(first)), (LOCAL, said(second))]
    assert statuses(one_each(forwarded_hops=1), requests) == expected


def test_behind_rays_own_proxy_addresses_count_only_as_another_proxy_tells_them() -> None:
    """All come with HAProxy's address: to limit that would be to limit the whole service."""
    node = "10.1.2.3"
    alone = behind_proxy(one_each(), [node])
    assert statuses(alone, [(node, []), (node, []), (LOCAL, said("1.1.1.1"))]) == [200] * 3
    told = behind_proxy(one_each(forwarded_hops=1), [node])
    requests = [(node, said("1.1.1.1")), (node, said("2.2.2.2")), (node, said("2.2.2.2"))]
    assert statuses(told, requests) == [200, 200, 429]


def test_the_networks_come_from_the_environment_and_are_networks() -> None:
    found = GuardSettings.from_environment({"LMTX_GUARD_FORWARDED_FROM": "10.0.0.0/8,::1"})
    assert found.forwarded_from == ("10.0.0.0/8", "::1")
    with pytest.raises(ValidationError, match=r"proxy\.example"):
        GuardSettings(forwarded_from="proxy.example")


def test_one_client_may_ask_as_fast_as_a_machine_answers() -> None:
    """137 requests a second on two cores is what docs/serving.md reports."""
    assert GuardSettings().requests_per_minute / 60 >= 5 * 137
    assert GuardSettings().documents_per_minute / 60 >= 5 * 207
