"""Which host is this machine, however it is written, and whether anybody answers at an address."""

from __future__ import annotations

import ipaddress
import socket

CONNECT_SECONDS = 10.0


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


def require_ray(address: str) -> None:
    """ConnectionError where nothing listens at a "host:port", with "ray://" before it or not; Ray
    would wait for minutes. Other words, such as "auto", are left to Ray."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConnectionError(f"nothing listens at {host} port {port}: {told}") from error
