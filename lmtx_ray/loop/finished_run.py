"""A run that is complete, found by its config or by its folder, for those who read what it left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmtx_ray.config.loading import ConfigError, is_yaml_file, load_config
from lmtx_ray.io import storage
from lmtx_ray.io.accounts import Spent, read_accounts
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.outcome import read_summary
from lmtx_ray.loop.record import end_uri
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout


@dataclass(frozen=True)
class FinishedRun:
    """What a complete run left: `steps` are its published steps by their names in a plan, `summary`
    what its end published, `costs` what all its starts spent (empty where an older version ran it),
    `record` what it was made of (see `record`); `ended` is empty where that is not known."""

    config: RunConfig
    steps: Mapping[str, PublishedFolder]
    summary: Mapping[str, Any]
    costs: Spent
    record: Mapping[str, Any]
    ended: str

    @property
    def uri(self) -> str:
        """The run's folder."""
        return self.config.run

    @property
    def identity(self) -> str:
        """Tells this result from others in the same folder."""
        return self.steps["evaluation"].fingerprint

    @property
    def ran(self) -> int:
        """How many cycles ran."""
        of_earlier_versions = max(map(int, self.summary["selection"]), default=0)
        return int(self.summary.get("cycles", of_earlier_versions))

    @property
    def is_judged(self) -> bool:
        """Whether a judge was asked about documents to learn from."""
        return next(verdict_names(self), None) is not None

    def has(self, name: str) -> bool:
        """Whether a step is there and published."""
        return name in self.steps and self.steps[name].is_complete()


def open_finished(place: str | RunConfig) -> FinishedRun:
    """The run of settings or of a config file, or the one that ended last in a run's folder.

    A config's inputs must still be where they were. A folder may have moved; the inputs are needed
    only where the run was made by a version that kept no record of its end.

    Raises:
        ConfigError: There is no run, or none that is complete; it says what is missing.
    """
    if isinstance(place, RunConfig) or is_yaml_file(place):
        config = load_config(RunConfig, place)  # a judge is not asked: its key may be away
        return _of_layout(config, lay_out(config), record={})
    run = storage.absolute(place)
    ended = [storage.read_json(uri) for uri in storage.list_files(RunLayout(run).ended, ".json")]
    for record in sorted(ended, key=lambda record: record["ended"], reverse=True):
        found = _of_record(run, record)
        if found.has("evaluation"):
            return found
    return _of_starts(run)


def _of_record(run: str, record: Mapping[str, Any]) -> FinishedRun:
    steps = {
        name: PublishedFolder(storage.join(run, folder), folder.rsplit("-", 1)[1])
        for name, folder in record["steps"].items()
    }
    return _finished(_config_of(run, record), steps, record)


def _of_starts(run: str) -> FinishedRun:
    """Of a run without a record of its end: its starts and their inputs tell which steps are its
    own, or the names of its folders where those leave no choice."""
    records = [
        storage.read_json(uri) for uri in storage.list_files(RunLayout(run).started, ".json")
    ]
    if not records:
        raise ConfigError(
            f"{run}: no run was started here: give the folder that the config names as `run`, or "
            "the config itself"
        )
    unfinished = ""
    for record in records:
        config = _config_of(run, record)
        try:
            return _of_layout(config, lay_out(config), record)
        except (ValueError, OSError) as error:
            unfinished = str(error)
    steps = _only_steps(run)
    if "evaluation" in steps and all(one["config"] == records[0]["config"] for one in records):
        return _finished(_config_of(run, records[0]), steps, records[0])
    raise ConfigError(unfinished)


def _only_steps(run: str) -> dict[str, PublishedFolder]:
    """Published steps by name, of names that only one folder has."""
    manifests = storage.list_files(run, f"/{MANIFEST}")
    folders = [uri.removesuffix(f"/{MANIFEST}").removeprefix(f"{run}/") for uri in manifests]
    named = [folder.rsplit("-", 1) for folder in folders if "/" not in folder]
    count = Counter(name for name, *_ in named)
    return {
        name.replace("-", " "): PublishedFolder(f"{run}/{name}-{fingerprint}", fingerprint)
        for name, fingerprint in named
        if count[name] == 1
    }


def _config_of(run: str, record: Mapping[str, Any]) -> RunConfig:
    """The record's settings, in the folder where the run is now."""
    return load_config(RunConfig, {**record["config"], "run": run})


def _of_layout(config: RunConfig, layout: Layout, record: Mapping[str, Any]) -> FinishedRun:
    if not layout.evaluation.is_complete():
        raise ConfigError(
            f"{config.run}: this run is not finished: next is {_next_step(layout)}. "
            "`lmtx run` with its config goes on where it stopped; the report is made at its end"
        )
    kept = end_uri(config, layout)
    if storage.exists(kept):
        record = storage.read_json(kept)
    return _finished(config, dict(layout.steps()), record)


def _next_step(layout: Layout) -> str:
    """The first step that is not there, and how many are."""
    steps = list(layout.steps())
    done = [step.is_complete() for _, step in steps]
    return f"`{steps[done.index(False)][0]}` ({sum(done)} of {len(steps)} steps are complete)"


def _finished(
    config: RunConfig, steps: Mapping[str, PublishedFolder], record: Mapping[str, Any]
) -> FinishedRun:
    summary = read_summary(steps["evaluation"]) if steps["evaluation"].is_complete() else {}
    costs = read_accounts(RunLayout(config.run).accounts)
    return FinishedRun(config, steps, summary, costs, record, record.get("ended", ""))


def verdict_names(run: FinishedRun) -> Iterator[str]:
    """Names of the steps that asked about documents to learn from, oldest first."""
    for number in range(1, run.ran + 1):
        names = (f"{kind} {number}" for kind in ("verdicts", "selection", "learned selection"))
        yield from (name for name in names if name in run.steps)  # not every source asks
