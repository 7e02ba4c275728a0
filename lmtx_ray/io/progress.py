"""How far a unit of work has come, counted where it is done.

Counting is an addition in this process's memory: no call, no file. Who shows it looks from time
to time (`io.stage`), or has it sent, once a second for a process (`stages.board`). What is counted
here is for people alone: no result depends on it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Parts = dict[str, tuple[int, float]]  # unit -> rows that are done, and the share of its input


@dataclass
class Open:
    """A unit that is being worked on: `part` of it was done at `start` rows, and `ahead` rows on it
    will be `then`."""

    rows: int = 0
    start: int = 0
    ahead: int = 0
    part: float = 0.0
    then: float = 0.0
    size: int = 0  # bytes of its input, and those that were read
    read: int = 0

    def share(self) -> float:
        """Which share of the unit is done, 0 to 1."""
        way = min((self.rows - self.start) / self.ahead, 1.0) if self.ahead else 0.0
        return self.part + (self.then - self.part) * way


@dataclass(frozen=True)
class Snapshot:
    """What a process has done: its open units, and amounts such as pairs and tokens."""

    parts: Parts = field(default_factory=dict)
    amounts: dict[str, float] = field(default_factory=dict)


_lock = threading.Lock()
_here = threading.local()
_open: dict[str, Open] = {}
_amounts: dict[str, float] = {}


@contextmanager
def working_on(unit: str, size: int = 0) -> Iterator[None]:
    """What this thread counts in the block is of this unit, with so many bytes of input."""
    before = getattr(_here, "open", None)
    with _lock:
        _here.open = _open[unit] = Open(size=size)
    try:
        yield
    finally:
        with _lock:
            _open.pop(unit, None)
        _here.open = before


def ahead(rows: int, all_of_it: bool = True) -> None:
    """So many rows are next: all of the unit, or what was read of it by now. What was announced
    before and not begun is announced anew: a judge counts pairs, not documents."""
    unit: Open | None = getattr(_here, "open", None)
    if unit is not None:
        if unit.rows > unit.start:
            unit.start = unit.rows = unit.start + unit.ahead
            unit.part = unit.then
        unit.ahead = rows
        unit.then = 1.0 if all_of_it else max(min(unit.read / max(unit.size, 1), 0.99), unit.part)


def took(size: int) -> None:
    """So many bytes of this thread's unit were read."""
    unit: Open | None = getattr(_here, "open", None)
    if unit is not None:
        unit.read += size


def advance(rows: int = 1) -> None:
    """So many rows of this thread's unit are done."""
    teller()(rows)


def teller() -> Callable[[int], None]:
    """`advance` for this thread's unit, to be called in whatever thread does its work."""
    unit: Open | None = getattr(_here, "open", None)

    def tell(rows: int = 1) -> None:
        if unit is not None:
            with _lock:
                unit.rows = min(unit.rows + rows, unit.start + unit.ahead)

    return tell


def count(**amounts: float) -> None:
    """Add to this process's amounts, in whatever thread: pairs, prompt_tokens, answer_tokens;
    of pairs whose unit is through, answered and yes."""
    with _lock:
        for name, amount in amounts.items():
            _amounts[name] = _amounts.get(name, 0.0) + amount


def snapshot() -> Snapshot:
    """What this process has done so far."""
    with _lock:
        parts = {name: (unit.rows, unit.share()) for name, unit in _open.items()}
        return Snapshot(parts, dict(_amounts))
