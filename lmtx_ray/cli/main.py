"""`lmtx`: the command line. Progress goes to stderr, one JSON line ends stdout.

A command imports what it needs when it is called, so `lmtx --help` starts in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from lmtx_ray.cli import tagging, thresholds, verdicts
from lmtx_ray.cli.arguments import add_verb
from lmtx_ray.cli.messages import is_users_to_mend, one_line
from lmtx_ray.loop import running

logger = logging.getLogger("lmtx_ray")
VERBS = "lmtx_ray.verbs"  # entry points: functions that add verbs to the command line


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code (0 done, 1 failed with a message, 2 bad usage, 3 another
    driver took over the output)."""
    return carry_out(build_parser().parse_args(argv))


def carry_out(arguments: argparse.Namespace) -> int:
    """Run the parsed command; prints its result, or one line on what went wrong."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        result = arguments.run_command(arguments)
    except (ValueError, OSError) as error:  # the user's to mend: config, corpus, storage, contract
        logger.error("lmtx %s: %s", arguments.command, one_line(error))
        return tagging.exit_code_of(error)
    except Exception as error:  # a bug, or a cluster that failed: its trace, then the line
        if is_users_to_mend(error):
            logger.error("lmtx %s: %s", arguments.command, one_line(error))
            return 1
        logger.exception("failed")
        logger.error("lmtx %s: %s: %s", arguments.command, type(error).__name__, one_line(error))
        return 1
    finally:
        # Ray's listener prints what it hears of lost nodes to stdout, at any time: it has to end
        # before the line of JSON, or that would not be the last one
        running.leave_ray()
    if result is not None:
        print(json.dumps(result), flush=True)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All verbs; each sets `run_command` to the function that does it."""
    parser = argparse.ArgumentParser(prog="lmtx", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    _add_run_verbs(verbs)
    tagging.add_verbs(verbs)
    for entry in metadata.entry_points(group=VERBS):  # the service has its own, see pyproject.toml
        entry.load()(verbs)
    verdicts.add_verbs(verbs, _load, running.start_ray)
    _add_evaluate_verb(verbs)
    thresholds.add_verbs(verbs)
    return parser


def _add_run_verbs(verbs: Any) -> None:
    demo = add_verb(verbs, "demo", "the whole loop on the bundled sample, then a table", run_demo)
    run = add_verb(verbs, "run", "all cycles of a config; skips what is complete", run_loop)
    plan = add_verb(verbs, "plan", "validate inputs, say what would run; no model", plan_loop)
    for parser in (run, plan):
        parser.add_argument("config", help="YAML file of the run")
    for parser in (demo, run):
        add_run_options(parser)
    demo.set_defaults(until=None, cycle=None)
    add_until_options(run)
    _add_set_option(plan)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What `lmtx run` and every job share."""
    _add_set_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would run and stop")
    parser.add_argument(
        "--force", action="store_true", help="go on with a judge whose first answers teach nothing"
    )


def _add_set_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="override a setting (repeatable)",
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


def _add_evaluate_verb(verbs: Any) -> None:
    parser = add_verb(verbs, "evaluate", "metrics of rankings against gold labels", evaluate_files)
    parser.add_argument(
        "--rankings",
        required=True,
        help="rankings or tags: a Parquet file, a step folder or the output of lmtx tag",
    )
    parser.add_argument("--gold", required=True, help="gold Parquet file or step folder")
    parser.add_argument("--labels", help="the run's labels, where tags meet gold by ids")


def _load(arguments: argparse.Namespace) -> Any:
    return running.load_config(arguments.config, _overrides(arguments))


def _overrides(arguments: argparse.Namespace) -> list[str]:
    force = ["judge.check=false"] if getattr(arguments, "force", False) else []
    return [*arguments.set, *force]


def plan_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx plan`, and the other verbs' --dry-run: the plan for people on stderr."""
    from lmtx_ray.loop.estimate import render_plan

    plan = running.plan(arguments.config, _overrides(arguments))
    print(render_plan(plan), file=sys.stderr)
    return plan


def run_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx run`, and every job."""
    if arguments.dry_run:
        return plan_loop(arguments)
    overrides = _overrides(arguments)
    return running.run(arguments.config, overrides, arguments.until, arguments.cycle)


def run_demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx demo`: the same with the bundled config, into runs/ of the working folder."""
    from lmtx_ray.loop.demo import demo_settings

    arguments.config = demo_settings()
    return run_loop(arguments)


def evaluate_files(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx evaluate`."""
    from lmtx_ray.loop.evaluating import evaluate

    return evaluate(arguments.rankings, arguments.gold, arguments.labels)
