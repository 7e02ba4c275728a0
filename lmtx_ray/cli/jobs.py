"""Entry points for `ray job submit`: `jobs/<step>.py` is `lmtx run` up to that step.

A job takes its config by `--config`, and the other options as the command line does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lmtx_ray.cli import main
from lmtx_ray.cli.arguments import Parser, add_common_options
from lmtx_ray.loop import stopping


def run_job(step: str | None, argv: Sequence[str] | None = None) -> int:
    """Run (or resume) the loop up to `step`, None for all of it; returns the exit code."""
    return main.carry_out(build_parser(step).parse_args(argv))


def build_parser(step: str | None) -> argparse.ArgumentParser:
    """The options of one job."""
    about = f"the loop up to and with {step}" if step else "the whole loop"
    parser = Parser(description=f"{about}; skips what is complete")
    parser.add_argument("--config", required=True, help="YAML file of the run")
    main.add_run_options(parser)
    add_common_options(parser)
    if step is None:
        main.add_until_options(parser)
    else:
        parser.set_defaults(until=step, cycle=None)
        if step in stopping.FIRST_CYCLE:
            main.add_cycle_option(parser)
    parser.set_defaults(command=step or "run", run_command=main.run_loop)
    return parser
