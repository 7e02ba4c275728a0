"""An HTTP proxy before an S3 server that answers some requests wrongly."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = str  # "500", "503", "403", "truncate", "hang" or "" for none
HOP = {"connection", "transfer-encoding", "content-length", "host", "expect", "server", "date"}


def kept(headers: Message) -> dict[str, str]:
    """Headers that concern both ends, not one connection."""
    return {key: value for key, value in headers.items() if key.lower() not in HOP}


class Handler(BaseHTTPRequestHandler):
    """Answers as the upstream of its server does, but for the faults that its server decides."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream_length: str | None = None
    server: FaultyServer

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.server.decide(self.command, self.path)
        if fault == "hang":
            time.sleep(3)
            self.close_connection = True
        elif fault.isdecimal():
            name = {"503": "SlowDown", "403": "AccessDenied"}.get(fault, "InternalError")
            error = f"<Error><Code>{name}</Code><Message>made up</Message></Error>".encode()
            self.answer(int(fault), {"Content-Type": "application/xml"}, error, 0)
        else:
            self.forward(body, cut=fault == "truncate")

    def forward(self, body: bytes | None, cut: bool) -> None:
        headers = kept(self.headers)
        headers["Host"] = self.headers["Host"]
        headers.setdefault("Content-Type", "binary/octet-stream")  # else urllib says: a form
        url = self.server.upstream + self.path
        request = urllib.request.Request(url, data=body, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(request) as reply:
                self.upstream_length = reply.headers["Content-Length"]
                status, found, data = reply.status, kept(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            status, found, data = error.code, kept(error.headers), error.read()
        self.answer(status, found, data, len(data) // 2 if cut else 0)

    def answer(self, status: int, headers: dict, data: bytes, missing: int) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        length = self.upstream_length if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) - missing])
        self.close_connection = bool(missing)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def log_message(self, *args: object) -> None:
        """Silence."""


class FaultyServer(ThreadingHTTPServer):
    """Knows what its handlers stand before, and which request gets which fault."""

    def __init__(self, upstream: str, decide: Callable[[str, str], Fault]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.decide = upstream, decide


@contextmanager
def faulty(upstream: str, decide: Callable[[str, str], Fault]) -> Iterator[str]:
    """URL of a proxy; `decide(method, path)` names the fault of a request, once for each."""
    proxy = FaultyServer(upstream, decide)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        proxy.server_close()
