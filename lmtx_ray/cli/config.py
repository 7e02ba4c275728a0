"""`lmtx config`: every setting, for people and for editors; `lmtx completion`: for shells."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lmtx_ray.cli.arguments import add_verb

SHELLS = ("bash", "zsh")


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    config = add_verb(verbs, "config", "every setting of a run: meaning, default, schema", show)
    what = config.add_mutually_exclusive_group(required=True)
    what.add_argument("--defaults", action="store_true", help="print all defaults as YAML")
    what.add_argument(
        "--schema", action="store_true", help="print a JSON schema, by which editors complete"
    )
    what.add_argument("--docs", action="store_true", help="print docs/config.md")
    completion = add_verb(verbs, "completion", "print a script that completes in a shell", complete)
    completion.add_argument("shell", choices=SHELLS, help="which shell it is for")


def show(arguments: argparse.Namespace) -> None:
    """`lmtx config`."""
    from lmtx_ray.loop import reference

    if arguments.schema:
        print(json.dumps(reference.schema(), indent=1, ensure_ascii=False))
    else:
        print((reference.markdown if arguments.docs else reference.defaults)(), end="")


def complete(arguments: argparse.Namespace) -> None:
    """`lmtx completion`."""
    import shtab

    from lmtx_ray.cli.main import build_parser

    parser = build_parser()
    _complete_files(parser)
    print(shtab.complete(parser, arguments.shell))


PLACES = (
    *("config", "docs", "labels", "place", "file", "output", "folder", "input", "bundle", "run"),
    *("gold", "out", "rankings", "tags", "expected"),
)


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Say where a name of a file is wanted."""
    import shtab

    from lmtx_ray.cli.arguments import all_parsers

    for _, below in all_parsers(parser):
        for action in below._actions:
            if action.dest in PLACES and not action.choices:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
