"""Receiving a body within limits of size and time, and handing it on."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from serve_apps.guard.errors import Refusal

LINGER_SECONDS, LINGER_BYTES = 2.0, 32 * 1024 * 1024


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, most: int, seconds: float, declared: int | None) -> bytes:
    """The whole body; Refusal 413 as soon as it is too large, 408 when it takes too long."""
    if declared is not None and declared > most:
        raise too_large(most)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise too_large(most)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        late = f"the body was not complete after {seconds:g} seconds"
        raise Refusal(408, "body_timeout", [(["body"], late)], {"Connection": "close"}) from None


def too_large(most: int) -> Refusal:
    """The refusal of a body of more than `most` bytes."""
    message = f"the body is larger than {most} bytes"
    return Refusal(413, "body_too_large", [(["body"], message)], {"Connection": "close"})


async def drain(receive: Receive) -> None:
    """Read on for a moment: a client that is cut off while it sends never sees the answer."""
    size = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while size < LINGER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body in one piece, then only the end of the connection."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        if pending:
            return pending.pop()
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return next_message
