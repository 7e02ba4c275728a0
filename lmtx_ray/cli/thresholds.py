"""The verbs on probabilities: recalibrate and optimize."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmtx_ray.cli.arguments import add_verb, positive, probability, said_already
from lmtx_ray.cli.evaluating import add_gold_columns, add_self_matches, gold_source, rows_counted

if TYPE_CHECKING:
    from lmtx_ray.evaluation.grid import Cell, Choice
    from lmtx_ray.loop.optimizing import Basis

SHOWN = tuple(round(0.1 * n, 1) for n in range(10))  # thresholds of the table


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    _add_recalibrate(verbs)
    about = "choose the least probability and the number of tags, by precision and recall"
    verb = add_verb(verbs, "optimize", about, optimize_bundle)
    verb.set_defaults(in_words=said_already)
    verb.add_argument("bundle", metavar="RUN_OR_BUNDLE", help="a bundle, or a run: its newest")
    verb.add_argument("--gold", metavar="URI", help="choose by gold, a file in any form")
    verb.add_argument(
        "--tags", metavar="URI", help="tags of the gold documents by this bundle; with --gold"
    )
    add_gold_columns(verb)
    add_self_matches(verb)
    verb.add_argument(
        "--precision", type=probability, metavar="P", help="the most recall with this precision"
    )
    verb.add_argument(
        "--confident",
        action="store_true",
        help="the lower end of the 95 %% interval has to reach it, not the estimate",
    )
    verb.add_argument(
        "--limits", type=_limits, metavar="A,B", help="numbers of tags to try (default: 1,2,3,5,10)"
    )
    verb.add_argument(
        "--store", action="store_true", help="publish a bundle with the choice as its defaults"
    )
    verb.add_argument("--output", metavar="URI", help="where to; beside the bundle by default")


def _add_recalibrate(verbs: Any) -> None:
    about = "a bundle whose probabilities heed reviewed pairs; no model is trained"
    verb = add_verb(verbs, "recalibrate", about, recalibrate_bundle)
    verb.add_argument("bundle", metavar="RUN_OR_BUNDLE", help="a bundle, or a run: its newest")
    verb.add_argument(
        "--verdicts",
        metavar="URI",
        help="verdict store with people's answers (default: the run's, or one beside the bundle)",
    )
    verb.add_argument("--output", metavar="URI", help="where to; beside the bundle by default")


def recalibrate_bundle(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx recalibrate`."""
    from lmtx_ray.bundle.defaults import read_defaults
    from lmtx_ray.config.defaults import Defaults
    from lmtx_ray.loop.naming import make_newest
    from lmtx_ray.loop.optimizing import bundle_of
    from lmtx_ray.loop.recalibrating import recalibrate
    from lmtx_ray.loop.run_verdicts import store_beside

    bundle = bundle_of(arguments.bundle)
    store = arguments.verdicts or store_beside(bundle)
    result = recalibrate(bundle, store, arguments.output)
    make_newest(arguments.bundle, result["bundle"], bundle)
    print(
        f"{result['reviewed']} reviewed pairs: first tags were stated to be right in "
        f"{result['before']:.1%}, and are in {result['now']:.1%} now: {result['bundle']}",
        file=sys.stderr,
    )
    if (before := read_defaults(bundle)) != Defaults():
        print(
            f"the stored choice (--min-probability {before.min_probability:g} --top-k "
            f"{before.top_k}) was left behind, as it was made by other probabilities: lmtx "
            "optimize … --store makes one anew",
            file=sys.stderr,
        )
    return result


def _limits(text: str) -> tuple[int, ...]:
    return tuple(sorted({positive(part.strip()) for part in text.split(",")}))


def optimize_bundle(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx optimize`: the table for people on stderr.

    Raises:
        ValueError: Options that do not go together, or a precision to store that nothing reaches.
    """
    from lmtx_ray.evaluation.grid import LIMITS
    from lmtx_ray.loop import optimizing

    _check(arguments)
    bundle = optimizing.bundle_of(arguments.bundle)
    if arguments.gold:
        ids = rows_counted(arguments, None) if arguments.rows_of else None
        gold = replace(gold_source(arguments, arguments.gold), row_ids=ids)
        never = arguments.self_matches
        basis = optimizing.by_gold_files(bundle, arguments.tags, gold, never, ids)
    else:
        basis = optimizing.by_judge(bundle)
    asked, limits = arguments.precision, arguments.limits or LIMITS
    cells, choice = optimizing.optimize(basis, asked, arguments.confident, limits)
    shown = [cell for cell in cells if cell.threshold in SHOWN]
    print(render(shown, basis.name, basis.documents), file=sys.stderr)
    result = {
        "bundle": bundle,
        "by": basis.name,
        "documents": basis.documents,
        "reviewed": basis.reviewed,
        "cells": [cell.to_dict() for cell in shown],
    }
    return result | _chosen(arguments, bundle, basis, choice) if choice else result


def _chosen(
    arguments: argparse.Namespace, bundle: str, basis: Basis, choice: Choice
) -> dict[str, Any]:
    """What is told of a choice, and what `--store` does with it."""
    from lmtx_ray.loop import optimizing
    from lmtx_ray.loop.naming import make_newest

    asked, confident = arguments.precision, arguments.confident
    told = _verdict(choice, asked, confident)
    print(told, file=sys.stderr)
    result = {
        "precision": asked,
        "chosen": choice.cell and choice.cell.to_dict(),
        "nearest": choice.nearest and choice.nearest.to_dict(),
    }
    if not arguments.store:
        return result
    if choice.cell is None:
        raise ValueError(f"nothing stored: {told}")
    stored = optimizing.store(bundle, choice.cell, basis, asked, confident, arguments.output)
    named = arguments.bundle if make_newest(arguments.bundle, stored, bundle) else stored
    print(f"stored: lmtx tag --bundle {shlex.quote(named)} … tags so by default", file=sys.stderr)
    return result | {"stored": stored}


def _check(arguments: argparse.Namespace) -> None:
    if bool(arguments.gold) != bool(arguments.tags):
        raise ValueError(
            "--gold and --tags go together: lmtx tag --bundle BUNDLE --input DOCUMENTS "
            "--output OUT --top-k 20 --min-probability 0, then --tags OUT"
        )
    if arguments.self_matches and not arguments.gold:
        raise ValueError("--self-matches count rows of gold: give --gold and --tags")
    for name in ("store", "confident"):
        if getattr(arguments, name) and arguments.precision is None:
            raise ValueError(f"--{name} needs --precision")
    if arguments.output and not arguments.store:
        raise ValueError("--output needs --store")


def render(cells: list[Cell], by: str, documents: int) -> str:
    """A table, per cent; cells that say too little have their precision in brackets."""
    lines = [
        f"by {by}, {documents} documents; per cent, 95 % intervals",
        "limit  from   precision            recall               F1  tags/doc  untagged  known",
    ]
    for cell in cells:
        mark = "{}" if cell.counts else "({})"
        lines.append(
            f"{cell.limit:>5}  {cell.threshold:.2f}   "
            f"{mark.format(_with_interval(cell.precision, cell.precision_ci)):<19}  "
            f"{_with_interval(cell.recall, cell.recall_ci):<17}  {100 * cell.f1:5.1f}  "
            f"{cell.tags_per_document:8.2f}  {100 * cell.untagged:8.0f}  {100 * cell.known:5.0f}"
        )
    if not all(cell.counts for cell in cells):
        lines.append("(in brackets: too few tags, or too few of them known, to go by)")
    return "\n".join(lines)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:5.1f} [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"


def _verdict(choice: Choice, asked: float, confident: bool) -> str:
    wanted = f"precision {asked:g}" + (" with confidence" if confident else "")
    cell = choice.cell or choice.nearest
    if cell is None:
        return f"{wanted}: there are too few judged tags to say"
    what = (
        f"--min-probability {cell.threshold:g} --top-k {cell.limit}: precision "
        f"{_with_interval(cell.precision, cell.precision_ci).strip()}, recall "
        f"{100 * cell.recall:.1f}, {cell.tags_per_document:.2f} tags a document"
    )
    if choice.cell is None:
        return f"{wanted}: nothing reaches it; the nearest is {what}"
    return f"{wanted}: {what}"
