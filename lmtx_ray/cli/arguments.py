"""What the command line's verbs share in reading their arguments."""

from __future__ import annotations

import argparse
from typing import Any


def add_verb(verbs: Any, name: str, about: str, function: Any) -> argparse.ArgumentParser:
    """A verb whose `run_command` is the function that does it."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run_command=function)
    return parser


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1, got {text!r}")
    return int(text)


def probability(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        hint = f" (for {text} per cent give {value / 100:g})" if 1 < value <= 100 else ""
        raise argparse.ArgumentTypeError(f"needs a number from 0 to 1, got {text!r}{hint}")
    return value
