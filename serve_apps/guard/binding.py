"""Who may reach the service: beyond this machine only with keys, or knowingly without."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

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


def is_loopback(host: str) -> bool:
    """True of 127.0.0.0/8, ::1 and localhost; other names are not looked up and count as open."""
    if host.rstrip(".").lower() == "localhost":
        return True
    address = parse_address(host.removeprefix("[").removesuffix("]"))
    return address is not None and address.is_loopback


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, an IPv4 one where it is only written as IPv6; None where it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=16)
def parse_networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks and single addresses; ValueError names one that is neither."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def is_among(address: str, names: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in parse_networks(names))
