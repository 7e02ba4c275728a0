"""Whether the step that a thread works for is to end early, as another worker met its end.

Whoever pays for answers looks now and then, keeps what was paid for, and ends as interrupted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()
_never = threading.Event()


@contextmanager
def heeding(halted: threading.Event) -> Iterator[None]:
    """What this thread does in the block is to end once `halted` is set."""
    before = current()
    _here.halted = halted
    try:
        yield
    finally:
        _here.halted = before


def current() -> threading.Event:
    """What this thread heeds; threads that work for it are to be given it."""
    halted: threading.Event = getattr(_here, "halted", _never)
    return halted
