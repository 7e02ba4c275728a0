"""Ports: what was asked for is had or refused by name, what was not asked for gives way."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from serve_apps import ports
from serve_apps.ports import (
    METRICS_PORT,
    STATS_PORT,
    PortError,
    check_http,
    free_port,
    is_free,
    proxy_ports,
)
from tests.serving.conftest import lmtx


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_a_port_is_free_until_somebody_listens(taken: int) -> None:
    assert not is_free(taken)
    assert not is_free(taken, "127.0.0.1")
    assert is_free(free_port())


def test_the_usual_ports_give_way_to_free_ones(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = free_port()
    monkeypatch.setattr(ports, "USUAL", {METRICS_PORT: taken, STATS_PORT: usual})
    found = proxy_ports({})
    assert found[STATS_PORT] == usual
    assert found[METRICS_PORT] != taken
    assert is_free(found[METRICS_PORT])


def test_ports_that_were_asked_for_are_had_or_refused(taken: int) -> None:
    wanted = free_port()
    assert proxy_ports({STATS_PORT: str(wanted)})[STATS_PORT] == wanted
    assert proxy_ports({METRICS_PORT: str(taken)}, wanted)[METRICS_PORT] == wanted
    with pytest.raises(PortError, match=f"{taken} for the proxy's metrics .*--metrics-port"):
        proxy_ports({}, taken)
    with pytest.raises(PortError, match=f"{taken} for the proxy's statistics .*STATS_PORT"):
        proxy_ports({STATS_PORT: str(taken)})


@pytest.mark.parametrize("port", [0, 70_000])
def test_what_can_never_be_had_is_refused_by_name(port: int) -> None:
    with pytest.raises(PortError, match=f"192\\.0\\.2\\.1:{port}"):
        is_free(port, "192.0.2.1")  # of another machine
    with pytest.raises(PortError, match=f"{METRICS_PORT}='none' is no port"):
        proxy_ports({METRICS_PORT: "none"})


def test_the_services_own_port_is_refused_by_name(taken: int) -> None:
    with pytest.raises(PortError, match=f"port {taken} of 127.0.0.1 is taken.*--port"):
        check_http("127.0.0.1", taken)


def test_a_taken_port_ends_the_service_with_one_line(bundle: str, taken: int) -> None:
    ports = ("--port", str(free_port()), "--metrics-port", str(taken))
    refused = lmtx("serve", "--bundle", bundle, *ports)
    assert refused.returncode == 1
    line = refused.stderr.splitlines()[-1]
    assert f"port {taken}" in line
    assert "--metrics-port" in line
