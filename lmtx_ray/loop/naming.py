"""What a run's bundle is known by: its name, size and quality beside the hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmtx_ray.evaluation.selection import Opinion
from lmtx_ray.io.latest import write_about
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig

UNJUDGED = "untrained; nobody has judged it"


def name_bundle(
    config: RunConfig, layout: Layout, cycles: int, untrained: bool, quality: str
) -> dict[str, Any]:
    """Say beside the bundle what it is, and make it the newest of its run."""
    about = {
        "name": config.run.rstrip("/").rsplit("/", 1)[-1],
        "bundle_id": layout.bundle.fingerprint,
        "documents": layout.documents.rows(),
        "labels": layout.labels.rows(),
        "cycles": cycles,
        "untrained": untrained,
        "quality": quality,
    }
    return write_about(layout.bundle.uri, config.run, about)


def quality_of(
    summary: Mapping[str, Any], opinions: Mapping[str, Opinion] | None, ranking: str
) -> str:
    """How good what ships is, in words: against gold where there is some, else by the judge's own
    opinion of the documents held aside."""
    shipped = summary.get("methods", {}).get(summary.get("final"), {})
    metric = next((name for name in shipped if f"{name}_ci" in shipped), None)
    if metric:
        low, high = shipped[f"{metric}_ci"]
        return f"{metric} {shipped[metric]:.2f} [{low:.2f}, {high:.2f}] against gold"
    if opinions:
        own = opinions[ranking]
        return f"P@1 {own.mean:.2f} [{own.low:.2f}, {own.high:.2f}] by the judge's own opinion"
    return UNJUDGED
