"""How engines of one machine are started: one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmtx_ray.io import disk, locks


@contextmanager
def engine_starting() -> Iterator[None]:
    """Hold while an engine loads: those that load at once need their memory's peak at once."""
    with locks.exclusive(disk.cache("engines") / "starting.lock"):
        yield
