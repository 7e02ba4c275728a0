"""A command as a process of its own: its log, its signals, and what a terminal shows."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from lmtx_ray.cli import interrupts, logs
from lmtx_ray.io.stage import LogDisplay, Stage


class Silent(LogDisplay):
    """Shows nothing: for --quiet."""

    def show(self, state: object) -> None:
        """Nothing."""

    def end(self, state: object) -> None:
        """Nothing."""


def run(arguments: argparse.Namespace, carry_out: Callable[[argparse.Namespace, str], int]) -> int:
    """Carry out the parsed command of this process; returns its exit code. After Ctrl-C or SIGTERM
    it does not return."""
    is_terminal, quiet = sys.stderr.isatty(), getattr(arguments, "quiet", False)
    streams = logs.take_over(arguments.command, quiet, getattr(arguments, "verbose", False))
    stop_drawing = _show_stages(streams, quiet, is_terminal)

    def say(sentence: str) -> None:
        stop_drawing()
        streams.error.write(f"{sentence}\n")
        streams.error.flush()

    watching = interrupts.watch(say, getattr(arguments, "kept", interrupts.KEPT))
    try:
        code = carry_out(arguments, str(streams.log))
    except (KeyboardInterrupt, SystemExit):  # of ours, or what a library made of it
        if not watching.said.wait(1):
            raise
    if watching.said.is_set():
        sys.stdout.flush()
        interrupts.end_now(watching.code)
    return code


def _show_stages(streams: logs.Streams, quiet: bool, is_terminal: bool) -> Callable[[], None]:
    """Choose who shows stages; returns what makes it stop."""
    if quiet:
        Stage.display = Silent()
        return lambda: None
    if not is_terminal:
        return lambda: None
    from lmtx_ray.cli.terminal import ConsoleHandler, TerminalDisplay

    display = TerminalDisplay(streams.error)
    Stage.display = display
    (shown,) = (one for one in logging.root.handlers if one.filters)
    lines = ConsoleHandler(display.console)
    lines.setFormatter(logs.WithoutTrace("%(message)s"))
    lines.setLevel(shown.level)
    for one in shown.filters:
        lines.addFilter(one)
    logging.root.handlers[logging.root.handlers.index(shown)] = lines
    return display.stop
