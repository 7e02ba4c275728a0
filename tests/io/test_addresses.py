"""Whether anybody answers at an address, before Ray waits for minutes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lmtx_ray.io.addresses import require_ray
from lmtx_ray.loop.running import start_ray
from serve_apps.promotion import PromotionError, connect


@pytest.fixture
def port() -> Iterator[int]:
    """Where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_somebody_listens_is_taken(form: str, port: int) -> None:
    require_ray(form.format(port))


@pytest.mark.parametrize("address", ["", "auto", "local", "a-head", "http://127.0.0.1:8265/x"])
def test_what_is_no_host_and_port_is_left_to_ray(address: str) -> None:
    require_ray(address)


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no-such-host.invalid:6379"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(ConnectionError, match="nothing listens at "):
        require_ray(address)


def test_nobody_waits_for_a_ray_that_is_not_there(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", silent)
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # as in a process of its own
    told = f"nothing listens at 127.0.0.1 port {silent.rpartition(':')[2]}: Connection refused"
    with pytest.raises(ConnectionError, match=told):
        start_ray()
    with pytest.raises(PromotionError, match=f"no Ray answers at {silent}: {told}"):
        connect(silent)
