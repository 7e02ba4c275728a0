"""Stages on a terminal: one line that is redrawn, above it what is said for good."""

from __future__ import annotations

import logging
import threading
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lmtx_ray.io.stage import State, spoken

logger = logging.getLogger(__name__)
BAR = 24  # characters


class TerminalDisplay:
    """The innermost stage as one line: its name, a bar, and what there is to say."""

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._lock = threading.RLock()  # a signal may come while its own thread draws
        self._over = False

    def show(self, state: State) -> None:
        """Redraw the line."""
        with self._lock:
            if self._over:
                return
            if self._live is None:
                self._live = Live(console=self.console, refresh_per_second=4, transient=True)
                self._live.start()
            self._live.update(self._line(state))

    def _line(self, state: State) -> Table:
        facts = state.facts()
        left = state.left
        facts.append(
            f"about {spoken(left)} left" if left is not None else f"{spoken(state.seconds)} so far"
        )
        row = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [self._spinner, Text(state.name, style="bold")]
        if state.total:
            cells += [ProgressBar(1.0, state.share, BAR), Text(f"{state.share:4.0%}")]
        row.add_row(*cells, Text(", ".join(facts), overflow="ellipsis", no_wrap=True))
        return row

    def end(self, state: State) -> None:
        """Take the line away; what had units leaves a line of the log."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None
        if state.total and state.share >= 1:
            logger.info("%s", state.line(ended=True))

    def stop(self) -> None:
        """Draw nothing any more."""
        with self._lock:
            self._over = True
            if self._live is not None:
                self._live.stop()


class ConsoleHandler(logging.Handler):
    """Log lines above the line that is redrawn."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        try:
            self._console.print(Text(self.format(record)), soft_wrap=True)
        except Exception:
            self.handleError(record)
