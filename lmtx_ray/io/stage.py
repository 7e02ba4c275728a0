"""What long work looks like from outside: the stage, its rate, the time left and the cost so far.

A stage tells a display how it stands, at the display's pace; the innermost stage is shown. Here the
display is the log: a line after some seconds, then ever more seldom. The command line puts another
in its place where a person looks on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Protocol

from lmtx_ray.io.progress import Snapshot, snapshot

logger = logging.getLogger(__name__)
FIRST_SECONDS, MOST_SECONDS = 5.0, 60.0  # between two lines of a log
LOOK_SECONDS = 0.5
PRICES = {"prompt_tokens": "prompt", "answer_tokens": "answer"}


@dataclass(frozen=True)
class State:
    """How a stage stands. `share` of the work is done, 0 to 1; `seconds` have passed. `done` and
    `total` count units, and `rows` are what units are made of, called `what`."""

    name: str
    share: float
    seconds: float
    done: int = 0
    total: int = 0
    rows: int = 0
    what: str = "rows"
    amounts: Mapping[str, float] = field(default_factory=dict)
    money: float | None = None
    note: str = ""

    @property
    def left(self) -> float | None:
        """Seconds that are left, as far as that can be told."""
        if self.share <= 0 or self.seconds < 1:
            return None
        return self.seconds * (1 - self.share) / self.share

    def facts(self) -> list[str]:
        """What there is to say, without name and units."""
        found = []
        if self.rows:
            found += [f"{self.rows:,} {self.what}", f"{self._rate(self.rows)} {self.what}/s"]
        if pairs := self.amounts.get("pairs"):
            found.append(f"{pairs:,.0f} pairs asked, {self._rate(pairs)}/s")
        if answered := self.amounts.get("answered"):
            found.append(f"{self.amounts.get('yes', 0) / answered:.1%} yes")
        if tokens := sum(self.amounts.get(name, 0) for name in PRICES):
            found.append(f"{tokens:,.0f} tokens")
        if self.money:
            found.append(f"cost {self.money:,.2f}")
        return [*found, self.note] if self.note else found

    def _rate(self, number: float) -> str:
        rate = number / max(self.seconds, 1e-9)
        return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"

    def line(self, ended: bool = False) -> str:
        """All of it as one line."""
        facts = [f"{self.done:,}/{self.total:,} units"] if self.total > 1 else []
        facts += self.facts()
        if ended or not facts or self.left is None:
            facts.append(f"{spoken(self.seconds)}{'' if ended else ' so far'}")
        else:
            facts.append(f"about {spoken(self.left)} left")
        return f"{self.name}: {', '.join(facts)}"


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class Display(Protocol):
    """Whoever shows stages. Both calls may come from any thread."""

    def show(self, state: State) -> None:
        """How the innermost stage stands now; called every half second."""

    def end(self, state: State) -> None:
        """A stage is over; `share` says whether it came to its end."""


class LogDisplay:
    """A line of the log after five seconds, and then when a tenth more time has passed, at most a
    minute apart."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def show(self, state: State) -> None:
        """Log it if it is time to."""
        due = self._next.setdefault(state.name, FIRST_SECONDS)
        if state.seconds >= due:
            pause = min(max(FIRST_SECONDS, state.seconds / 10), MOST_SECONDS)
            self._next[state.name] = state.seconds + pause
            logger.info("%s", state.line())

    def end(self, state: State) -> None:
        """Log the end of what had units; the end of a step is logged by whoever times it."""
        self._next.pop(state.name, None)
        if state.total and state.share >= 1:
            logger.info("%s", state.line(ended=True))


class Stage:
    """A stage for the length of a block. Units are told by `done`; what is done of the open ones
    is what `look` gives."""

    display: ClassVar[Display] = LogDisplay()
    _stack: ClassVar[list[Stage]] = []

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, float] | None = None,
        look: Callable[[], Snapshot] = snapshot,
        what: str = "rows",
        note: Callable[[], str] = str,
        price: Mapping[str, float] | None = None,
    ) -> None:
        """`sizes` are the units that are to do, with how much work each is (only their relation
        counts); None where the work has no units. `price` is that of a million tokens: prompt,
        answer."""
        self._name, self._what, self._look, self._note = name, what, look, note
        self._sizes, self._price = dict(sizes or {}), price
        self._weight = sum(self._sizes.values()) or float(len(self._sizes))
        self._finished: dict[str, int] = {}
        self._seen, self._began, self._before = Snapshot(), 0.0, Snapshot()
        self._ended, self._showing = threading.Event(), threading.Lock()
        self._answered = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Stage:
        self._began = time.monotonic()
        self._before = snapshot() if self._look is snapshot else Snapshot()
        self._answered = self._look is snapshot
        Stage._stack.append(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._showing:
            self._ended.set()
        Stage._stack.remove(self)
        if self._answered and not (kind and issubclass(kind, KeyboardInterrupt)):
            self._seen = self._looked()
        Stage.display.end(self.state())

    def done(self, unit: str, rows: int) -> None:
        """A unit is done, with so many rows."""
        self._finished[unit] = rows

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if Stage._stack and Stage._stack[-1] is self:
                self._seen = self._looked()
                with self._showing:
                    if not self._ended.is_set():
                        Stage.display.show(self.state())

    def _looked(self) -> Snapshot:
        try:
            found = self._look()
            self._answered = True
            # a unit that is done is open no more, and the driver hears of it later
            before = {n: part for n, part in self._seen.parts.items() if n not in self._finished}
            return Snapshot(before | found.parts, found.amounts)
        except Exception:  # whoever counts may be gone: the work itself tells of that
            return self._seen

    def state(self) -> State:
        """How it stands."""
        finished = dict(self._finished)  # it grows meanwhile
        open_units = {
            name: part
            for name, part in self._seen.parts.items()
            if name in self._sizes and name not in finished
        }
        amounts = {
            name: value - self._before.amounts.get(name, 0)
            for name, value in self._seen.amounts.items()
        }
        rows = sum(finished.values()) + sum(rows for rows, _ in open_units.values())
        return State(
            self._name,
            self._share(finished, {name: share for name, (_, share) in open_units.items()}),
            time.monotonic() - self._began,
            len(finished),
            len(self._sizes),
            rows,
            self._what,
            amounts,
            self._money(amounts),
            self._note(),
        )

    def _share(self, finished: Mapping[str, int], parts: Mapping[str, float]) -> float:
        if not self._sizes:
            return 0.0
        if len(finished) == len(self._sizes):
            return 1.0
        even = not sum(self._sizes.values())
        weights = {name: 1.0 if even else size for name, size in self._sizes.items()}
        done = sum(weights.get(name, 0.0) for name in finished)
        done += sum(weights[name] * share for name, share in parts.items())
        return min(done / self._weight, 1.0)

    def _money(self, amounts: Mapping[str, float]) -> float | None:
        if not self._price:
            return None
        return sum(
            amounts.get(name, 0) * self._price.get(kind, 0.0) / 1e6 for name, kind in PRICES.items()
        )
