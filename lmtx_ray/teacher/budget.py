"""A hard budget of a run, in requests and tokens, that also a killed run keeps to.

What is used is written ahead in blocks: a file says how much may have been used at most, and is
corrected when the run ends. So a kill can lose some of the budget, but never overspend it.
"""

from __future__ import annotations

import threading
import uuid

from lmtx_ray.config.judge import BudgetConfig
from lmtx_ray.io import storage
from lmtx_ray.teacher.protocol import Budget, BudgetReached

BLOCKS = 50  # the budget is written ahead in this many parts


class Ledger:
    """A Budget (see protocol) kept at a URI; one process of a run holds it."""

    def __init__(self, limits: BudgetConfig, uri: str) -> None:
        self._limits = (limits.requests, limits.tokens)
        self._uri = storage.join(uri, f"{uuid.uuid4().hex}.json")
        self._before = _read(uri)
        self._used = [0, 0]
        self._written = [0, 0]
        self._lock = threading.Lock()

    def take(self, requests: int, tokens: int) -> None:
        """Reserve. Raises BudgetReached, and reserves nothing, where it would go beyond a limit."""
        with self._lock:
            wanted = [self._used[0] + requests, self._used[1] + tokens]
            for kind, name in enumerate(("requests", "tokens")):
                limit = self._limits[kind]
                if limit is not None and self._before[kind] + wanted[kind] > limit:
                    raise BudgetReached(
                        f"judge.budget.{name}: the {limit:,} {name} are used up; what was answered "
                        "is kept: raise it and run again to go on"
                    )
            if any(used > written for used, written in zip(wanted, self._written, strict=True)):
                self._write([self._ahead(kind, wanted[kind]) for kind in (0, 1)])
            self._used = wanted

    def _ahead(self, kind: int, used: int) -> int:
        """What to write down where so much is used; of what has no limit (yet) twice as much."""
        limit = self._limits[kind]
        return used + (used if limit is None else max(limit // BLOCKS, 1))

    def give_back(self, requests: int, tokens: int) -> None:
        """Return what was reserved and not used."""
        with self._lock:
            self._used = [self._used[0] - requests, self._used[1] - tokens]

    def close(self) -> list[int]:
        """Write what was used exactly; returns it, with what was used before: requests, tokens."""
        with self._lock:
            if any(self._written):
                self._write(self._used)
            return [now + before for now, before in zip(self._used, self._before, strict=True)]

    def _write(self, used: list[int]) -> None:
        content = {"requests": used[0], "tokens": used[1]}
        storage.write_bytes(self._uri, storage.to_json(content))
        self._written = used


def _read(uri: str) -> list[int]:
    used = [storage.read_json(file) for file in storage.list_files(uri, ".json")]
    return [sum(entry[name] for entry in used) for name in ("requests", "tokens")]


class Blocks:
    """A Budget over a dearer one (of another process): takes from it in blocks."""

    def __init__(self, inner: Budget, requests: int = 64) -> None:
        self._inner, self._size = inner, requests
        self._held = [0, 0]
        self._lock = threading.Lock()

    def take(self, requests: int, tokens: int) -> None:
        """Reserve; asks for a block, and near the limit for just what is needed."""
        with self._lock:
            if self._held[0] < requests or self._held[1] < tokens:
                block = [max(requests, self._size), max(tokens * self._size, tokens)]
                try:
                    self._inner.take(*block)
                except BudgetReached:
                    block = [
                        max(wanted - held, 0)
                        for wanted, held in zip((requests, tokens), self._held, strict=True)
                    ]
                    self._inner.take(*block)
                self._held = [h + b for h, b in zip(self._held, block, strict=True)]
            self._held = [self._held[0] - requests, self._held[1] - tokens]

    def give_back(self, requests: int, tokens: int) -> None:
        """Keep what was reserved and not used for the next `take`."""
        with self._lock:
            self._held = [self._held[0] + requests, self._held[1] + tokens]

    def close(self) -> None:
        """Return what is held to the inner budget."""
        with self._lock:
            self._inner.give_back(*self._held)
            self._held = [0, 0]
