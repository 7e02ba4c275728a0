"""Ctrl-C and SIGTERM: one sentence at once, and an end within seconds.

The sentence is printed and the time counted by a thread that the signal wakes, as the main thread
may be deep in a library's call. The main thread gets a `Stopped`, gives back what it holds and
ends; what is not over after some seconds is killed, children first. A second signal kills at once.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from lmtx_ray.io import lease

NUMBERS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 3.5
KEPT = "what is complete is kept, and the same command goes on from there"


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end."""


def descendants(process: int) -> list[int]:
    """Ids of a process's children and theirs, as far as /proc tells."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [process]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def end_now(code: int) -> NoReturn:
    """Kill what this process started, give back its leases and end it, whatever it does."""
    for child in descendants(os.getpid()):
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
    lease.give_back_all()
    os._exit(code)


class Watch:
    """Whether a signal came: `said` is set when its sentence is, and `code` is the exit code."""

    def __init__(self) -> None:
        self.said, self.code = threading.Event(), 0


def watch(say: Callable[[str], None], kept: str = KEPT) -> Watch:
    """Take the signals from now on, in the main thread of a process of our own."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    sentence = f"stopped: {kept}: {command()}"
    watching = Watch()
    arguments = (reader, writer, lambda: say(sentence), watching)
    threading.Thread(target=_heed, args=arguments, daemon=True).start()
    for number in NUMBERS:
        signal.signal(number, _stop)
    return watching


def command() -> str:
    """What was typed, as it can be typed again."""
    words = [Path(sys.argv[0]).name if not sys.argv[0].endswith("__main__.py") else "lmtx"]
    return shlex.join([*words, *sys.argv[1:]])


def _stop(number: int, frame: object) -> None:
    for own in NUMBERS:  # once: what unwinds must not be broken off by the next one
        signal.signal(own, lambda *_: None)
    raise Stopped


def _heed(
    reader: socket.socket, writer: socket.socket, say: Callable[[], None], watching: Watch
) -> None:
    """`writer` is held, so that its descriptor stays open."""
    watching.code = 128 + _next(reader)
    say()
    watching.said.set()
    reader.settimeout(GRACE_SECONDS)
    with suppress(TimeoutError):
        _next(reader)
    end_now(watching.code)


def _next(reader: socket.socket) -> int:
    """The number of the next signal that we take; others (a child's end) are passed over."""
    while True:
        number = reader.recv(1)[0]
        if number in NUMBERS:
            return number
