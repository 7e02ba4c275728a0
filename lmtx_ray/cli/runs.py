"""`lmtx runs`: what has been run, and what came of it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_verb, said_already


def add_verbs(verbs: Any) -> None:
    """Add it to the command line."""
    parser = add_verb(verbs, "runs", "list runs: when, of what, how far, how good", list_runs)
    parser.add_argument(
        "folder", nargs="?", default="runs", help="a run or a folder of runs; default: runs"
    )
    parser.set_defaults(in_words=said_already)


def list_runs(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx runs`: a line for each on standard error, the same as values."""
    from lmtx_ray.loop import runs

    found = runs.list_runs(arguments.folder)
    said = runs.table(found) if found else f"no run in {arguments.folder}"
    print(said, file=sys.stderr)
    return {"folder": arguments.folder, "runs": [run.to_dict() for run in found]}
