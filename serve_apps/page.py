"""The page at `/` and the description at `/docs`, as plain files with a strict policy."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).resolve().parent / "static"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SCRIPTS = ("app.js", "copying.js", "docs.js", "files.js", "results.js", "service.js")
FILES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
    **{f"/static/{name}": (name, "text/javascript") for name in SCRIPTS},
    "/static/style.css": ("style.css", "text/css"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}


def mount_page(api: FastAPI) -> None:
    """Serve the files; `/docs` takes the place of the usual one, which loads foreign scripts."""
    foreign = {api.docs_url, api.redoc_url, api.swagger_ui_oauth2_redirect_url}
    api.router.routes[:] = [
        route for route in api.router.routes if getattr(route, "path", None) not in foreign
    ]
    for path in FILES:
        api.router.routes.append(Route(path, _file, methods=["GET"]))


async def _file(request: Request) -> Response:
    name, kind = FILES[request.scope["path"].removeprefix(request.scope.get("root_path", ""))]
    headers = {
        "Content-Security-Policy": PAGE_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(_content(name), media_type=kind, headers=headers)


@cache
def _content(name: str) -> bytes:
    return (STATIC / name).read_bytes()
