"""From a finished run to its report's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.reporting.contents import gather
from lmtx_ray.reporting.page import render
from lmtx_ray.reporting.words import Verdict, conclude

NAME = "report.html"
MARK = 'name="lmtx-evaluation" content="{}"'  # in the head of page.html.j2


@dataclass(frozen=True)
class Written:
    """Where a report is, and its summary."""

    uri: str
    verdict: Verdict


def write_report(run: str | RunConfig, output: str | None = None) -> Written:
    """Write the report of a finished run, given by its folder, its config file or its settings, as
    one HTML file: `report.html` in the run's folder, or at `output` (a path or an s3 URI).

    Raises:
        ConfigError: There is no such run, or it is not finished.
        StorageError: Something of it cannot be read, or the file cannot be written.
    """
    found = open_finished(run)
    report = gather(found)
    uri = storage.absolute(output) if output else storage.join(found.uri, NAME)
    storage.write_bytes(uri, render(report).encode())
    return Written(uri, conclude(report))


def kept_report(config: RunConfig) -> str | None:
    """Where the report of a finished run is, if that was made; None if not, or if `report.html` is
    that of other settings."""
    uri = storage.join(config.run, NAME)
    if not storage.exists(uri):
        return None
    mark = MARK.format(lay_out(config).evaluation.fingerprint).encode()
    return uri if mark in storage.read_bytes(uri) else None


def to_dict(written: Written) -> dict[str, Any]:
    """As the last line of `lmtx report`."""
    return {
        "report": written.uri,
        "level": written.verdict.level,
        "headline": written.verdict.headline,
        "findings": list(written.verdict.findings),
        "next": [command for _, command in written.verdict.steps if command],
    }
