"""The verbs that edit a bundle's labels: labels add, remove, update."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from typing import Any

from lmtx_ray.cli.arguments import add_encoding, add_verb
from lmtx_ray.io.stage import Stage

COLUMNS = "key, text, description, aliases, parent_keys (| between several); .csv, .tsv, .jsonl or"
KINDS = {
    "add": (
        "labels that a bundle has not, into a new bundle; nothing is trained",
        f"file of new labels: {COLUMNS} .parquet. A removed key needs no text to come back",
    ),
    "remove": (
        "a new bundle without some labels; their keys are remembered",
        "file with a column of keys, or a .txt with a key on each line",
    ),
    "update": (
        "a new bundle in which labels have other texts, or are those of a whole file",
        f"file of labels as they are to be: {COLUMNS} .parquet. What it has no column for stays",
    ),
}


def add_edit_verbs(group: Any) -> None:
    """Add the verbs that edit to those of `labels`."""
    for name, (about, changes) in KINDS.items():
        verb = add_verb(group, name, about, edit_labels)
        verb.set_defaults(in_words=in_words)
        verb.add_argument("bundle", help="bundle, or a run for its newest one, local or s3")
        whole = name == "update"
        verb.add_argument("changes", nargs="?" if whole else None, help=changes)
        verb.add_argument(
            "output", nargs="?", help="where the new bundle goes; beside the old one by default"
        )
        verb.add_argument("--output", dest="named", metavar="URI", help="the same, by its name")
        if whole:
            verb.add_argument(
                "--to",
                metavar="LABELS",
                help="instead of changes: a whole label set, which the bundle's becomes by "
                "difference",
            )
        _add_reading(verb)


def _add_reading(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="say what would change and stop")
    verb.add_argument("--key-field", metavar="NAME", help="the column of keys in the file")
    verb.add_argument("--text-field", metavar="NAME", help="the column of what labels are called")
    add_encoding(verb, "the file")


def edit_labels(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx labels add`, `remove` and `update`: what changes on standard error first, then the
    place of the new bundle."""
    from lmtx_ray.bundle.cache import require_bundle
    from lmtx_ray.bundle.editing import plan_changes, plan_to
    from lmtx_ray.corpus.label_changes import Fields

    started = time.monotonic()
    changes, output = _places(arguments)
    require_bundle(arguments.bundle)
    fields = Fields(arguments.key_field, arguments.text_field, arguments.encoding)
    with Stage("comparing labels"):
        if whole := getattr(arguments, "to", None):
            plan = plan_to(arguments.bundle, whole, fields)
        else:
            plan = plan_changes(arguments.bundle, arguments.action, changes, fields)
    print(plan.edited.said(), file=sys.stderr)
    result = plan.to_dict()
    if arguments.dry_run:
        return result
    with Stage("making the bundle"):
        made = plan.make(output)
    return {**result, "bundle": made, "seconds": round(time.monotonic() - started, 1)}


def _places(arguments: argparse.Namespace) -> tuple[str, str | None]:
    """(file of changes, output or None). With --to there is no such file, so the second place is
    the output. Raises ValueError where places are missing or one too many."""
    places = [place for place in (arguments.changes, arguments.output) if place]
    whole = getattr(arguments, "to", None)
    changes = "" if whole else (places.pop(0) if places else "")
    if not changes and not whole:
        raise ValueError("name a file of changes, or a whole label set with --to")
    if len(places) + bool(arguments.named) > 1:
        raise ValueError(f"two outputs are named: {', '.join([*places, arguments.named or ''])}")
    return changes, arguments.named or (places[0] if places else None)


def in_words(result: dict[str, Any]) -> str:
    """Where the new bundle is, and what to do with it."""
    if "bundle" not in result:
        return "nothing was made"
    if result["bundle"] == result["of"]:
        return "all labels are so already: no bundle was made"
    live = shlex.join(["lmtx", "promote", "--bundle", result["bundle"]])
    return f"bundle: {result['bundle']}\n{live} takes it live"
