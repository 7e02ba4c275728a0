"""What the command line's verbs share in reading their arguments."""

from __future__ import annotations

import argparse
from typing import Any


def add_verb(verbs: Any, name: str, about: str, function: Any) -> argparse.ArgumentParser:
    """A verb whose `run_command` is the function that does it."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run_command=function)
    add_common_options(parser)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """What every verb has: how much is said, and to whom."""
    saying = parser.add_argument_group("what is said")
    much = saying.add_mutually_exclusive_group()
    much.add_argument(
        "-q", "--quiet", action="store_true", help="warnings, errors and the result alone"
    )
    much.add_argument(
        "-v", "--verbose", action="store_true", help="details, and warnings of libraries too"
    )
    saying.add_argument(
        "--json",
        action="store_true",
        help="the result as one line of JSON, also on a terminal (elsewhere it always is)",
    )


def probability(text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        hint = f"; for {number:g} % say {number / 100:g}" if 1 < number <= 100 else ""
        raise argparse.ArgumentTypeError(f"needs a number from 0 to 1, got {text!r}{hint}")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1, got {text!r}")
    return int(text)
