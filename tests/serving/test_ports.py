"""Ports: what was asked for is had or refused by name, what was not asked for gives way."""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmtx_ray.corpus.schemas import BUNDLE_VERSION
from lmtx_ray.io.publish import Dataset
from serve_apps import ports
from serve_apps.ports import (
    HA_PROXY,
    METRICS_PORT,
    STATS_PORT,
    PortError,
    check_http,
    free_port,
    is_free,
    proxy_ports,
    take_ports,
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


def test_the_proxy_leaves_the_services_own_port_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own, wanted = free_port(), free_port()
    monkeypatch.setattr(ports, "USUAL", {METRICS_PORT: own, STATS_PORT: wanted})
    found = proxy_ports({}, http_port=own)
    assert found[METRICS_PORT] not in {own, wanted}
    with pytest.raises(PortError, match=f"{own} for the proxy's metrics"):
        proxy_ports({}, own, own)
    with pytest.raises(PortError, match=f"{wanted} for the proxy's"):
        proxy_ports({STATS_PORT: str(wanted)}, wanted)


@pytest.mark.parametrize(
    ("host", "proxy"), [("127.0.0.1", "1"), ("localhost", "1"), ("::1", "0"), ("127.0.0.2", "0")]
)
def test_haproxy_serves_only_what_it_reaches(
    host: str, proxy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (HA_PROXY, METRICS_PORT, STATS_PORT):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(HA_PROXY, "1")
    take_ports(host, free_port())
    assert os.environ[HA_PROXY] == proxy
    assert ("out of HAProxy's reach" in capsys.readouterr().err) == (proxy == "0")


@pytest.mark.parametrize("port", [0, 70_000])
def test_what_can_never_be_had_is_refused_by_name(port: int) -> None:
    with pytest.raises(PortError, match=f"192\\.0\\.2\\.1:{port}"):
        is_free(port, "192.0.2.1")  # of another machine
    with pytest.raises(PortError, match=f"{METRICS_PORT}='none' is no port"):
        proxy_ports({METRICS_PORT: "none"})


def test_the_services_own_port_is_refused_by_name(taken: int) -> None:
    with pytest.raises(PortError, match=f"port {taken} of 127.0.0.1 is taken.*--port"):
        check_http("127.0.0.1", taken)


def test_a_taken_port_ends_the_service_with_one_line(taken: int, tmp_path: Path) -> None:
    described = json.dumps({"version": BUNDLE_VERSION})
    bundle = Dataset(str(tmp_path / "bundle"), "b")
    bundle.publish_folder(lambda folder: (folder / "bundle.json").write_text(described))
    for option in ("--port", "--metrics-port"):
        ports = {"--port": str(free_port()), option: str(taken)}
        refused = lmtx("serve", "--bundle", bundle.uri, *itertools.chain(*ports.items()))
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert f"port {taken}" in line
        assert option in line


def test_no_port_is_beyond_65535() -> None:
    refused = lmtx("serve", "--bundle", "nowhere", "--port", "70000")
    assert refused.returncode == 2
    assert "needs a port from 1 to 65535, got '70000'" in refused.stderr


def test_what_is_no_bundle_is_said_before_anything_starts(tmp_path: Path) -> None:
    refused = lmtx("serve", "--bundle", str(tmp_path), "--port", str(free_port()))
    assert refused.returncode == 1
    assert "not a bundle" in refused.stderr.splitlines()[-1]
