"""Who may reach the service: beyond this machine only with keys, or knowingly without."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from lmtx_ray.io.addresses import is_loopback, parse_address
from serve_apps.guard.keys import FILE_VARIABLE, KEYS_VARIABLE, ApiKey


class BindingError(ValueError):
    """The service would be open to a network."""


def check_binding(host: str, keys: Sequence[ApiKey], insecure: bool = False) -> None:
    """BindingError where `host` is not loopback, there are no keys and `insecure` is not said."""
    if keys or insecure or is_loopback(host):
        return
    raise BindingError(
        f"binding to {host or 'every address'} without API keys would let anyone on the network "
        f"in: set {FILE_VARIABLE} or {KEYS_VARIABLE}, bind to 127.0.0.1, or say --insecure"
    )


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=16)
def parse_networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks and single addresses; ValueError names one that is neither."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def is_among(address: str, names: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in parse_networks(names))
