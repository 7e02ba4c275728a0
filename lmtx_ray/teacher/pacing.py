"""How fast a server is asked: one gate for all threads, and how long to wait after a failure."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5  # seconds, as all of these
LONGEST_WAIT = 60.0  # between two tries, where the server says nothing
LONGEST_TOLD = 300.0  # of what a Retry-After may ask for
LONGEST_TOTAL = 900.0  # that one request may wait, all its tries together


class Stopped(Exception):
    """The table was given up; nothing more is asked for it."""


class Gate:
    """Lets the requests of all threads through: none while it is closed, and never more at once
    than are allowed now.

    A server that says "too many" closes the gate for everybody and halves how many are allowed;
    requests let in before that do not halve it again. From then on every round of answers allows
    one more.
    """

    def __init__(self, most: int) -> None:
        self._changed = threading.Condition()
        self._most = self._allowed = most
        self._inside = self._answers = self._halvings = 0
        self._opens = 0.0

    def enter(self, stop: threading.Event) -> int:
        """Wait until there is room. Returns a ticket, which `close` wants back.

        Raises:
            Stopped: `stop` was set meanwhile.
        """
        with self._changed:
            while not stop.is_set():
                closed = self._opens - time.monotonic()
                if closed <= 0 and self._inside < self._allowed:
                    self._inside += 1
                    return self._halvings
                self._changed.wait(closed if closed > 0 else None)
        raise Stopped

    def leave(self, *, answered: bool) -> None:
        """A request is over; `answered` ones count towards allowing more."""
        with self._changed:
            self._inside -= 1
            self._answers += answered
            if self._answers >= self._allowed:
                self._allowed = min(self._allowed + 1, self._most)
                self._answers = 0
            self._changed.notify_all()

    def close(self, seconds: float, ticket: int) -> None:
        """Let nobody in for so many seconds; halve how many are allowed, unless that was done
        since the ticket was given."""
        with self._changed:
            self._opens = max(self._opens, time.monotonic() + seconds)
            self._answers = 0
            if ticket == self._halvings:
                self._allowed = max(1, self._allowed // 2)
                self._halvings += 1

    def wake(self) -> None:
        """Let those who wait look at `stop` again."""
        with self._changed:
            self._changed.notify_all()


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures: exponential with full jitter."""
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 30)))


def told_wait(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a reply asks for in `retry-after-ms` or `Retry-After`; None if it does not.

    A little is added at random, so that several processes do not come back at the same moment.
    """
    seconds = _number(headers.get("retry-after-ms"), 1000)
    if seconds is None:
        seconds = _number(headers.get("retry-after"), 1)
    if seconds is None:
        seconds = _until(headers.get("retry-after"), now)
    if seconds is None:
        return None
    return min(max(seconds, 0.0) + random.uniform(0, FIRST_WAIT), LONGEST_TOLD)


def _number(text: str | None, divisor: float) -> float | None:
    try:
        number = float(text or "") / divisor
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _until(text: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
