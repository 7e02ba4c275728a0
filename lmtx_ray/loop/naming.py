"""What a run's bundle is known by: its name, size and quality beside the hash."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lmtx_ray.bundle.remaking import description_of
from lmtx_ray.io import storage
from lmtx_ray.io.latest import LATEST, another_newest, read_about, write_about
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.shipping import state_of

logger = logging.getLogger(__name__)
UNJUDGED = "nobody has judged it"


def name_bundle(config: RunConfig, layout: Layout, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Say beside the bundle what it is, and make it the newest of its run where it is new: another
    evaluation of a bundle undoes no threshold that was stored since. Of `summary` are read `final`,
    and where they are there `methods` and `selection`."""
    cycle, _ = state_of(summary["final"])
    about = {
        "name": config.run.rstrip("/").rsplit("/", 1)[-1],
        "bundle_id": layout.bundle.fingerprint,
        "documents": layout.documents.rows(),
        "labels": layout.labels.rows(),
        "cycles": cycle,
        "untrained": cycle == 0,
        "quality": quality_of(summary),
    }
    kept = write_about(layout.bundle.uri, config.run, about, if_new=True)
    _tell_newest(config.run, layout.bundle.uri)
    return kept


def _tell_newest(run: str, bundle: str) -> None:
    """Say where a run's folder stands for another bundle than the one that its config makes."""
    if newest := another_newest(run, bundle.rstrip("/").rsplit("/", 1)[1]):
        logger.warning(
            "the newest bundle of %s stays %s: what is asked for the run gets that one; what this "
            "config makes is %s",
            run,
            newest,
            bundle,
        )


def name_finished(config: RunConfig, layout: Layout, summary: Mapping[str, Any]) -> None:
    """The same for a run that has ended; one that did before bundles had names gets its name, where
    that can be written."""
    _tell_newest(config.run, layout.bundle.uri)
    if storage.stat(storage.join(config.run, LATEST)) is None:
        try:
            name_bundle(config, layout, summary)
        except storage.StorageError:
            return


def make_newest(run: str, bundle: str, made_of: str) -> bool:
    """Make a bundle that was made of a run's own the newest of that run, known by what the other
    was; False, and nothing done, where `run` is no folder that holds it."""
    run = storage.absolute(run).removesuffix(f"/{LATEST}")
    if bundle.rstrip("/").rsplit("/", 1)[0] != run:
        return False
    own = {"bundle_id": description_of(bundle)["bundle_id"]}
    write_about(bundle, run, {**read_about(made_of), **own})
    return True


def quality_of(summary: Mapping[str, Any]) -> str:
    """How good what ships is, in words: against gold where there is some, else by the judge's own
    opinion of the documents held aside."""
    measured = summary.get("methods", {}).get(summary["final"], {})
    metric = next((name for name in measured if f"{name}_ci" in measured), None)
    if metric:
        low, high = measured[f"{metric}_ci"]
        return f"{metric} {measured[metric]:.2f} [{low:.2f}, {high:.2f}] against gold"
    cycle, ranking = state_of(summary["final"])
    opinions = {str(number): said for number, said in summary.get("selection", {}).items()}
    own = opinions.get(str(cycle), {}).get(ranking)
    if own is None:
        how = "trained on the documents' own texts" if cycle else "untrained"
        return f"{how}; {UNJUDGED}"
    interval = f"[{own['low']:.2f}, {own['high']:.2f}]"
    return f"P@1 {own['mean']:.2f} {interval} by the judge's own opinion"
