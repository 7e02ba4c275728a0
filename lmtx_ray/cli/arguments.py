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


def port_number(text: str) -> int:
    """A port that can be listened at, from 1 to 65535."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"needs a port from 1 to 65535, got {text!r}")
    return int(text)
