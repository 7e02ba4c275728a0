"""`lmtx`: the command line. Progress goes to stderr, one JSON line ends stdout.

A command imports what it needs when it is called, so `lmtx --help` starts in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lmtx_ray.cli import tagging, verdicts
from lmtx_ray.cli.arguments import add_verb
from lmtx_ray.cli.messages import is_users_to_mend, one_line
from lmtx_ray.io.cores import usable_cores

logger = logging.getLogger("lmtx_ray")
VERBS = "lmtx_ray.verbs"  # entry points: functions that add verbs to the command line
JOB_FOLDER = "/runtime_resources/working_dir_files/"
_joined = False  # whether this process started or joined a cluster by `start_ray`
DEMO_CONFIG = Path(__file__).resolve().parents[2] / "examples" / "biomedical" / "demo.yaml"


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
        _leave_ray()
    if result is not None:
        print(json.dumps(result), flush=True)
    return 0


def _leave_ray() -> None:
    """Ray's listener prints what it hears of lost nodes to stdout, at any time: it has to end
    before the line of JSON, or that would not be the last one."""
    global _joined
    if _joined:
        import ray

        ray.shutdown()
        _joined = False


def build_parser() -> argparse.ArgumentParser:
    """All verbs; each sets `run_command` to the function that does it."""
    parser = argparse.ArgumentParser(prog="lmtx", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    _add_run_verbs(verbs)
    tagging.add_verbs(verbs, start_ray)
    for entry in metadata.entry_points(group=VERBS):  # the service has its own, see pyproject.toml
        entry.load()(verbs)
    verdicts.add_verbs(verbs, _load, start_ray)
    _add_evaluate_verb(verbs)
    return parser


def _add_run_verbs(verbs: Any) -> None:
    demo = add_verb(verbs, "demo", "the whole loop on the bundled sample, then a table", run_loop)
    demo.set_defaults(config=str(DEMO_CONFIG))
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
    from lmtx_ray.loop.stopping import STEPS

    parser.add_argument("--until", choices=STEPS, help="stop after this step")
    add_cycle_option(parser)


def add_cycle_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cycle",
        type=int,
        metavar="N",
        help="which one of a repeated step; the first if not given",
    )


def _add_evaluate_verb(verbs: Any) -> None:
    parser = add_verb(verbs, "evaluate", "metrics of rankings against gold labels", evaluate_files)
    parser.add_argument("--rankings", required=True, help="rankings Parquet file or step folder")
    parser.add_argument("--gold", required=True, help="gold Parquet file or step folder")


def _load(arguments: argparse.Namespace) -> Any:
    from lmtx_ray.config.loading import load_config
    from lmtx_ray.loop.run_config import RunConfig

    force = ["judge.check=false"] if getattr(arguments, "force", False) else []
    config = load_config(RunConfig, arguments.config, [*arguments.set, *force])
    if config.judge.teacher.kind == "http":  # an address may hold a password: before it is kept
        from lmtx_ray.teacher.client import api_key, chat_url

        chat_url(config.judge.teacher.url)
        api_key(config.judge.teacher.api_key_env)
    return config


def plan_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.loop.estimate import describe, render_plan

    plan = describe(_load(arguments))
    print(render_plan(plan), file=sys.stderr)
    return plan


def run_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.dry_run:
        return plan_loop(arguments)
    from lmtx_ray.io import lease
    from lmtx_ray.loop.layout import lay_out
    from lmtx_ray.loop.record import write_record
    from lmtx_ray.loop.report import finished

    config = _load(arguments)
    stop = _stop(arguments, config)
    layout = lay_out(config)
    if stop is None and (summary := finished(config, layout)):
        return summary
    refuse_passing_folder(config.run, "run")
    write_record(config)
    with lease.held(f"{config.run}/LEASE.json", patient=True):  # two would pay the judge twice
        start_ray(config.run)
        from lmtx_ray.loop.cycle import run_cycles
        from lmtx_ray.loop.ending import finish, finish_at

        result = run_cycles(config, layout, stop)
        return finish(config, result) if stop is None else finish_at(config, result, stop)


def _stop(arguments: argparse.Namespace, config: Any) -> str | None:
    from lmtx_ray.loop.stopping import stop_name

    if arguments.until:
        return stop_name(arguments.until, arguments.cycle, config.cycles.most)
    if arguments.cycle is not None:
        raise ValueError("--cycle needs --until")
    return None


def refuse_passing_folder(uri: str, option: str) -> None:
    """Of a submitted job the working folder is a copy that the cluster deletes: no place to keep
    anything. Raises ValueError for a location inside it."""
    if JOB_FOLDER in uri:
        raise ValueError(
            f"{option}: {uri} is inside the job's copy of its working folder, which is deleted "
            "afterwards; give an absolute path on storage all nodes share, or an s3:// URI"
        )


def start_ray(output: str | None = None) -> None:
    """Join the cluster RAY_ADDRESS names, or start one on this machine with its CPUs.

    `output`, where it is given, must be seen by every node of the cluster.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    # "local", as Ray otherwise joins a cluster somebody started here, which refuses num_cpus
    local = (
        {}
        if os.environ.get("RAY_ADDRESS")
        else {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
    )
    global _joined
    ray.init(logging_level=logging.WARNING, log_to_driver=False, **local)
    _joined = True
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for noisy in ("ray.data", "ray.train", "faiss.loader", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if output is not None:
        from lmtx_ray.stages.nodes import require_shared

        require_shared(output)


def evaluate_files(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.evaluation.evaluation import evaluate, summarise
    from lmtx_ray.io.publish import read_published

    rows = evaluate(read_published(arguments.rankings), read_published(arguments.gold))
    return summarise(rows)
