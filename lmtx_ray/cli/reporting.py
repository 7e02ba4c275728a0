"""`lmtx report`, and the report that ends a run."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from lmtx_ray.cli.arguments import add_verb

logger = logging.getLogger("lmtx_ray")
ABOUT = (
    "one HTML file that tells what a finished run is worth, what it took and where it comes from"
)


def add_verbs(verbs: Any) -> None:
    """Add `report`."""
    parser = add_verb(verbs, "report", ABOUT, make_report)
    parser.add_argument("run", metavar="RUN", help="the run's folder, or its config (YAML)")
    parser.add_argument(
        "--output", metavar="FILE", help="where to write it; report.html in the run's folder if not"
    )
    parser.set_defaults(in_words=report_in_words)


def make_report(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx report`: where it is, and its summary."""
    from lmtx_ray.reporting.writing import to_dict, write_report

    return to_dict(write_report(arguments.run, arguments.output))


def with_report(config: Any, result: dict[str, Any]) -> dict[str, Any]:
    """The result of `lmtx run` with `report`, where and what it says. A report that cannot be made
    is a warning: the run itself is complete. One that is there already is not made again."""
    if "until" in result:
        return result
    from lmtx_ray.reporting.writing import kept_report, to_dict, write_report

    try:
        kept = kept_report(config)
        made = {"report": kept} if kept else to_dict(write_report(config))
    except Exception as error:
        logger.warning("the run is complete, but not its report: %s", error, exc_info=True)
        return result
    return {**result, "report": made}


def report_in_words(result: dict[str, Any]) -> str:
    """The summary for a terminal: the answer, what was found, where to read on, what to do next."""
    lines = []
    if "headline" in result:
        findings = [f"  - {line}" for line in result["findings"]]
        lines += ["", result["headline"], *findings, ""]
    lines += [f"report: {result['report']}"]
    lines += [f"next: {command}" for command in result.get("next", [])[:1]]
    return "\n".join(lines)


def run_in_words(result: dict[str, Any]) -> str:
    """What a run came to, below the tables that it printed; nothing of a dry run."""
    if "steps" in result:
        return ""
    if "until" in result:
        state = "reached" if result["reached"] else "not reached: the loop ended before"
        return "\n".join([f"{result['until']}: {state}", *result["outputs"].values()])
    told = [report_in_words(result["report"])] if "report" in result else []
    return "\n".join([*told, f"bundle: {result['bundle']}"])
