"""Options that say which labels may be tags, of the verbs that tag."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

UNDER = "only labels below this key, by their parents (repeatable: below any of them)"


def add_filter_files(tag: argparse.ArgumentParser) -> None:
    """Those of `lmtx tag`: keys in files, and in columns of the input."""
    keys = "one a line, or a table with a column key"
    tag.add_argument("--allow-file", metavar="FILE", help=f"label keys that may be tags; {keys}")
    tag.add_argument("--deny-file", metavar="FILE", help="label keys that may not, likewise")
    tag.add_argument("--under", action="append", metavar="KEY", help=UNDER)
    for name, what in (("allow", "that alone may be its tags"), ("deny", "that may not")):
        tag.add_argument(
            f"--{name}-column", metavar="NAME", help=f"field with a row's own label keys {what}"
        )
    tag.add_argument(
        "--self-matches",
        metavar="FILE",
        help="rows of the input and of the label set, from 0, that are one and the same: such as "
        "filter_labels_test.txt; no such label is a tag of its document",
    )


def filter_of_files(arguments: argparse.Namespace, source: Any) -> dict[str, Any]:
    """The same as fields of a TagJob of a `source`. Raises CorpusError for a file without keys."""
    from lmtx_ray.corpus.key_files import read_keys

    allow, deny, never = arguments.allow_file, arguments.deny_file, arguments.self_matches
    matches: dict[str, tuple[str, ...]] = {}
    if never:
        from lmtx_ray.loop.self_matching import keys_of_inputs

        matches = keys_of_inputs(never, source, arguments.bundle)
    return {
        "allow": read_keys(allow) if allow else None,
        "deny": read_keys(deny) if deny else (),
        "under": tuple(arguments.under or ()),
        "allow_column": arguments.allow_column,
        "deny_column": arguments.deny_column,
        "self_matches": matches,
    }


def file_error(arguments: argparse.Namespace, said: Mapping[str, str]) -> str:
    """What is said of unknown keys, with the files that they are in."""
    places = {
        "allow": f"--allow-file {arguments.allow_file}",
        "deny": f"--deny-file {arguments.deny_file}",
        "under": "--under",
    }
    return "; ".join(f"{places[name]}: {what}" for name, what in said.items())


def add_filter_keys(text: argparse.ArgumentParser) -> None:
    """Those of `lmtx tag-text`: keys on the command line."""
    for name, what in (("allow", "that may be a tag"), ("deny", "that may not")):
        text.add_argument(
            f"--{name}", action="append", metavar="KEY", help=f"label key {what} (repeatable)"
        )
    text.add_argument("--under", action="append", metavar="KEY", help=UNDER)


def filter_of_keys(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The same as arguments of `Tagger.tag` and fields of a request, those that are given."""
    given = {name: getattr(arguments, name) for name in ("allow", "deny", "under")}
    return {name: keys for name, keys in given.items() if keys}
