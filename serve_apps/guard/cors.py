"""Pages of other origins: which may ask, and what a browser is told before it lets them.

Nothing is allowed unless `cors_origins` names it. Cookies are never taken, so a page can do no more
than its user's API key lets it.
"""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

from serve_apps.guard.errors import Refusal

ANY = "*"
METHODS, REQUEST_HEADERS = "GET, HEAD, POST", "Authorization, Content-Type, X-API-Key, X-Request-ID"
SHOWN_HEADERS = "Retry-After, X-Request-ID"
REMEMBERED_SECONDS = 600
ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")


def check_origin(text: str) -> str:
    """An origin as browsers name it, such as https://example.org:8443, or "*"; ValueError for
    anything else, as it would never be equal to what they send."""
    if text != ANY and not ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is no origin: write it like https://example.org:8443, or *")
    return text


def allowed_origin(headers: dict[bytes, bytes], origins: tuple[str, ...]) -> str:
    """What to answer an Origin header with; "" where there is none or it may not ask."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or not origins:
        return ""
    return ANY if ANY in origins else origin if origin in origins else ""


def is_preflight(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a browser asks for a page whether it may ask."""
    asks = b"origin" in headers and b"access-control-request-method" in headers
    return scope["method"] == "OPTIONS" and asks


def preflight_headers(origin: str) -> dict[str, str]:
    """The answer to a preflight of an allowed origin; Refusal 403 for "", another one."""
    if not origin:
        problem = (["header", "Origin"], "pages of this origin may not ask; see cors_origins")
        raise Refusal(403, "origin_not_allowed", [problem])
    return {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": REQUEST_HEADERS,
        "Access-Control-Max-Age": str(REMEMBERED_SECONDS),
    }


def add_origin(
    raw: list[tuple[bytes, bytes]], origin: str, origins: tuple[str, ...]
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that let a page of `origin` read it; caches are told that
    they differ by origin where origins are told apart."""
    headers = MutableHeaders(raw=list(raw))
    if origin:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = SHOWN_HEADERS
    if origins and ANY not in origins:
        headers.add_vary_header("Origin")
    return headers.raw
