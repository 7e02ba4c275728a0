"""`lmtx`: the command line. Progress goes to stderr; stdout ends with the result, for machines as
one line of JSON.

A command imports what it needs when it is called, so `lmtx --help` starts in milliseconds.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from lmtx_ray import __version__
from lmtx_ray.cli import (
    config,
    evaluating,
    examples,
    gaps,
    init,
    labels,
    reporting,
    reviewing,
    runs,
    tagging,
    thresholds,
    verdicts,
)
from lmtx_ray.cli.arguments import Parser, add_set_option, add_verb, said_already
from lmtx_ray.cli.messages import is_users_to_mend, name_of, one_line
from lmtx_ray.io.plain_json import finite
from lmtx_ray.loop import running

logger = logging.getLogger("lmtx_ray")
ABOUT = "tag documents with labels of a large closed set, without annotations"
VERBS = "lmtx_ray.verbs"  # entry points: functions that add verbs to the command line


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 1 failed with a message or a check that found
    errors, 2 bad usage, 3 another driver took over the output, 130 and 143 stopped by Ctrl-C and
    SIGTERM.

    Without `argv` this process is ours: its standard error becomes a log file, see `cli.logs`.
    """
    try:
        arguments = build_parser().parse_args(argv)
    except KeyboardInterrupt:  # before anything began
        return 130
    if argv is not None:
        return carry_out(arguments)
    from lmtx_ray.cli import own_process

    return own_process.run(arguments, carry_out)


def carry_out(arguments: argparse.Namespace, log: str = "") -> int:
    """Run the parsed command; prints its result, or one line on what went wrong. `log` is the file
    that has the whole trace."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        result = arguments.run_command(arguments)
    except Exception as error:
        return _failed(arguments, error, log)
    finally:
        # Ray's listener prints what it hears of lost nodes to stdout, at any time: it has to end
        # before the line of JSON, or that would not be the last one
        running.leave_ray()
    try:
        if result is not None:
            print_result(arguments, result)
    except OSError as error:  # a full disk, or a reader that went away
        return _failed(arguments, error, log)
    return int(getattr(arguments, "exit_code", 0))  # of a check that found something


def _failed(arguments: argparse.Namespace, error: Exception, log: str) -> int:
    """Say on one line what is wrong. What is no user's to mend, a bug or a lost cluster, is shown
    with its trace where no log has it."""
    mendable = isinstance(error, ValueError | OSError) or is_users_to_mend(error)
    if log or mendable:
        logger.debug("the whole trace", exc_info=error)
    else:
        logger.error("failed", exc_info=error)
    kind = "" if mendable else f"{name_of(error)}: "
    where = f" (the whole trace: {log})" if log else ""
    logger.error("lmtx %s: %s%s%s", arguments.command, kind, one_line(error), where)
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again at its end, and end with a code of its own
        sys.stdout = io.StringIO()
    return tagging.exit_code_of(error)


def print_result(arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    """The result: to a person in words, as the verb has them; else one line of JSON."""
    if getattr(arguments, "json", False) or not sys.stdout.isatty():
        print(json.dumps(finite(result)), flush=True)
        return
    in_words = getattr(arguments, "in_words", plain_words)
    if text := in_words(result):
        print(text, flush=True)


def plain_words(result: dict[str, Any]) -> str:
    """A line for each value of a result that has no words of its own."""
    values = {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in result.items()
    }
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in values.items())


def build_parser() -> argparse.ArgumentParser:
    """All verbs; each sets `run_command` to the function that does it."""
    parser = Parser(prog="lmtx", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"lmtx {__version__}")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    init.add_verbs(verbs)
    _add_run_verbs(verbs)
    tagging.add_verbs(verbs)
    for entry in metadata.entry_points(group=VERBS):  # the service has its own, see pyproject.toml
        entry.load()(verbs)
    labels.add_verbs(verbs)
    verdicts.add_verbs(verbs, _load, running.start_ray)
    evaluating.add_verbs(verbs)
    reviewing.add_verbs(verbs)
    thresholds.add_verbs(verbs)
    gaps.add_verbs(verbs)
    reporting.add_verbs(verbs)
    runs.add_verbs(verbs)
    config.add_verbs(verbs)
    examples.add_examples(parser)
    return parser


def _add_run_verbs(verbs: Any) -> None:
    demo = add_verb(verbs, "demo", "the whole loop on the bundled sample, then a table", run_demo)
    run = add_verb(verbs, "run", "all cycles of a config; skips what is complete", run_loop)
    plan = add_verb(verbs, "plan", "validate inputs, say what would run, and the bill", plan_loop)
    plan.add_argument(
        "--measure",
        action="store_true",
        help="start the judge here and ask it some pairs, to tell how long a run takes",
    )
    for parser in (run, plan):
        parser.add_argument("config", help="YAML file of the run")
    for parser in (demo, run):
        add_run_options(parser)
        parser.set_defaults(in_words=reporting.run_in_words)
    plan.set_defaults(in_words=said_already)
    demo.set_defaults(until=None, cycle=None)
    add_until_options(run)
    add_set_option(plan)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What `lmtx run` and every job share."""
    add_set_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would run and stop")
    parser.add_argument(
        "--force", action="store_true", help="go on with a judge whose first answers teach nothing"
    )


def add_until_options(parser: argparse.ArgumentParser) -> None:
    """`--until STEP` and `--cycle N`."""
    from lmtx_ray.loop.stopping import STEPS

    parser.add_argument("--until", choices=STEPS, help="stop after this step")
    add_cycle_option(parser)


def add_cycle_option(parser: argparse.ArgumentParser) -> None:
    """`--cycle N`."""
    parser.add_argument(
        "--cycle",
        type=int,
        metavar="N",
        help="which one of a repeated step; the first if not given",
    )


def _load(arguments: argparse.Namespace) -> Any:
    return running.load_config(arguments.config, _overrides(arguments))


def _overrides(arguments: argparse.Namespace) -> list[str]:
    force = ["judge.check=false"] if getattr(arguments, "force", False) else []
    return [*arguments.set, *force]


def plan_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx plan`, and the other verbs' --dry-run: the plan for people on stderr."""
    from lmtx_ray.loop.estimate import render_plan

    measure = getattr(arguments, "measure", False)
    plan = running.plan(arguments.config, _overrides(arguments), measure)
    print(render_plan(plan), file=sys.stderr)
    return plan


def run_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx run`, and every job."""
    overrides = _overrides(arguments)
    if arguments.dry_run:
        running.check_stop(arguments.config, overrides, arguments.until, arguments.cycle)
        return plan_loop(arguments)
    result = running.run(arguments.config, overrides, arguments.until, arguments.cycle)
    return reporting.with_report(_load(arguments), result)


def run_demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx demo`: the same with the bundled config, into runs/ of the working folder."""
    from lmtx_ray.loop.demo import demo_settings

    arguments.config = demo_settings()
    return run_loop(arguments)
