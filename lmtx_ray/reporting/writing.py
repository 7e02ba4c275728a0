"""From a finished run to its report's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.reporting.contents import gather
from lmtx_ray.reporting.page import render
from lmtx_ray.reporting.words import Verdict, conclude

NAME = "report.html"


@dataclass(frozen=True)
class Written:
    """Where a report is, and its summary."""

    uri: str
    verdict: Verdict


def write_report(run: str, output: str | None = None) -> Written:
    """Write the report of a finished run, given by its folder or its config file, as one HTML file:
    `report.html` in the run's folder, or at `output` (a path or an s3 URI).

    Raises:
        ConfigError: There is no such run, or it is not finished.
        StorageError: Something of it cannot be read, or the file cannot be written.
    """
    found = open_finished(run)
    report = gather(found)
    uri = storage.absolute(output) if output else storage.join(found.uri, NAME)
    data = render(report).encode()
    if not storage.exists(uri) or storage.read_bytes(uri) != data:
        storage.write_bytes(uri, data)
    return Written(uri, conclude(report))


def to_dict(written: Written) -> dict[str, Any]:
    """As the last line of `lmtx report`."""
    return {
        "report": written.uri,
        "level": written.verdict.level,
        "headline": written.verdict.headline,
        "findings": list(written.verdict.findings),
    }
