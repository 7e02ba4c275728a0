"""A light load generator for loopback: HTTP/1.1 with kept connections, bounded in time."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 60.0


@dataclass
class Outcome:
    """Seconds of each answered request by status, and how long the whole took."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    took: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)

    def summary(self, documents: int = 1) -> dict[str, float]:
        """Rate and milliseconds of the requests answered with 200; counts of the others."""
        good = np.array(self.seconds.get(200, [])) * 1000
        found = {"requests_per_second": round(len(good) / self.took, 1)}
        if documents > 1:
            found["documents_per_second"] = round(documents * len(good) / self.took, 1)
        if len(good):
            found |= {f"p{q}_ms": round(float(np.percentile(good, q)), 1) for q in (50, 95, 99)}
        others = {str(k): len(v) for k, v in self.seconds.items() if k != 200}
        return {**found, "refused": others, "failed": dict(self.failures)}


def request_bytes(port: int, body: dict, path: str = "/v1/tag", key: str = "") -> bytes:
    """A whole POST request, with an API key where there is one."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
        + (f"X-API-Key: {key}\r\n" if key else "")
        + f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Connection:
    """One kept connection; opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body) of one request."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if self._streams is None:
                self._streams = await asyncio.open_connection(HOST, self._port)
            reader, writer = self._streams
            try:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
            except BaseException:
                self.close()
                raise
            if b"connection: close" in head:
                self.close()
            return int(head[9:12]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _one(connection: Connection, request: bytes, outcome: Outcome) -> None:
    started = time.perf_counter()
    try:
        status, _ = await connection.ask(request)
    except (OSError, asyncio.IncompleteReadError, TimeoutError, IndexError) as error:
        outcome.failures[type(error).__name__] += 1
    else:
        outcome.add(status, time.perf_counter() - started)


async def closed_loop(
    port: int, requests: Sequence[bytes], concurrency: int, seconds: float
) -> Outcome:
    """`concurrency` clients, each asking again as soon as it is answered."""
    outcome, turn = Outcome(), itertools.cycle(requests)
    started = time.perf_counter()

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() - started < seconds:
            await _one(connection, next(turn), outcome)
        connection.close()

    await asyncio.gather(*(client() for _ in range(concurrency)))
    outcome.took = time.perf_counter() - started
    return outcome


async def open_loop(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Outcome:
    """`rate` requests a second, whether or not the earlier ones are answered."""
    outcome, turn = Outcome(), itertools.cycle(requests)
    idle: list[Connection] = []
    started = time.perf_counter()

    async def send() -> None:
        connection = idle.pop() if idle else Connection(port)
        await _one(connection, next(turn), outcome)
        idle.append(connection)

    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(started + number / rate - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(send()))
    outcome.took = time.perf_counter() - started  # the time in which requests came
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return outcome
