"""Headers: the security ones every answer carries, request ids, and reading a request's own."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

from lmtx_ray.io.addresses import parse_address
from serve_apps.guard.binding import is_among

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SECURITY_HEADERS = {
    "Content-Security-Policy": API_POLICY,  # pages bring their own, wider one
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """Lower-case names and the first value of each."""
    return {name.lower(): value for name, value in reversed(scope["headers"])}


def choose_request_id(headers: dict[bytes, bytes]) -> str:
    """The client's X-Request-ID where it is harmless, else a new one."""
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def add_security(raw: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers with those that every answer has; the answer's own values stay."""
    headers = MutableHeaders(raw=list(raw))
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    return headers.raw


def declared_length(headers: dict[bytes, bytes]) -> int | None:
    """Content-Length, or None where there is none that could be true."""
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else None


def is_json(headers: dict[bytes, bytes]) -> bool:
    """Whether the body is uncompressed application/json in UTF-8."""
    kind, _, rest = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    plain = headers.get(b"content-encoding", b"identity").lower() == b"identity"
    charset = rest.strip().lower().replace('"', "")
    utf8 = not charset.startswith("charset=") or charset in ("charset=utf-8", "charset=utf8")
    return plain and utf8 and kind.strip().lower() == "application/json"


def client_network(scope: Scope, hops: int, proxies: tuple[str, ...]) -> str:
    """The client's IPv4 address or IPv6 /64: the peer's, or past `hops` proxies where the peer is
    one of `proxies` (networks), with or without a port. Others may write into X-Forwarded-For what
    they like."""
    client = scope.get("client")
    address = client[0] if client else ""
    parsed = parse_address(address)
    if hops and is_among(address, proxies) and (chain := _forwarded(scope)):
        # what is no address tells no client: any number of such words would be any number of them
        parsed = parse_address(_without_port(chain[max(0, len(chain) - hops)])) or parsed
    if parsed is not None and parsed.version == 6:
        return parsed.exploded[:19] + "::/64"
    return str(parsed) if parsed is not None else address[:64]


def _without_port(entry: str) -> str:
    """The address of `address:port` or `[address]:port`; an IPv6 one without brackets has none."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _forwarded(scope: Scope) -> list[str]:
    """X-Forwarded-For over all its lines, as a proxy may add one after the client's own."""
    lines = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    entries = b",".join(lines).decode("latin-1").split(",")
    return [entry.strip() for entry in entries if entry.strip()]
