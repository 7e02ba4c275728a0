"""The runs in a folder, as their published steps tell: for `lmtx runs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lmtx_ray.io import lease, storage
from lmtx_ray.io.fence import lease_uri
from lmtx_ray.io.latest import LATEST, STARTED, read_small
from lmtx_ray.io.locations import StorageError
from lmtx_ray.io.published import MANIFEST

STEP = re.compile(r"(?P<name>[a-z-]+?)(?:-(?P<cycle>\d+))?-[0-9a-f]{12}")
RUNNING, FINISHED, STOPPED = "at work", "finished", "stopped"


@dataclass(frozen=True)
class Run:
    """One run. `date` is that of its newest bundle, or, without one, when it was last begun anew;
    `quality` is in words, of what ships; numbers are None where nothing tells them."""

    name: str
    date: str
    documents: int | None
    labels: int | None
    cycles: int
    state: str
    quality: str
    bundle: str

    def to_dict(self) -> dict[str, Any]:
        """As the last line of `lmtx runs`."""
        return asdict(self)


def list_runs(folder: str) -> list[Run]:
    """Runs directly below a folder, or the folder itself if it is one, the newest first.

    Raises:
        StorageError: No such folder.
    """
    folder = storage.absolute(folder)
    if not storage.exists(folder):
        raise StorageError(f"{folder}: no such folder; say where the runs are: lmtx runs FOLDER")
    inside = storage.list_folders(folder)
    names = [name for name in inside if STARTED in storage.list_folders(storage.join(folder, name))]
    uris = [folder] if STARTED in inside else [storage.join(folder, name) for name in names]
    return sorted(map(describe, uris), key=lambda run: (run.date, run.name), reverse=True)


def describe(uri: str) -> Run:
    """What is published of a run; of a finished one what its newest bundle says."""
    steps = [match for name in storage.list_folders(uri) if (match := STEP.fullmatch(name))]
    known = read_small(storage.join(uri, LATEST))
    done = _cycles(uri, steps)
    return Run(
        name=uri.rsplit("/", 1)[1],
        date=known.get("created") or _begun(uri),
        documents=known.get("documents") or _rows(uri, steps, "documents"),
        labels=known.get("labels") or _rows(uri, steps, "labels"),
        cycles=int(known.get("cycles", done)),
        state=_state(uri, bool(known), done),
        quality=str(known.get("quality") or ""),
        bundle=str(known.get("bundle") or ""),
    )


def _begun(uri: str) -> str:
    """When a driver with the newest config or code began; empty where no record tells."""
    records = map(read_small, storage.list_files(storage.join(uri, STARTED), ".json"))
    return max((str(record.get("began") or "") for record in records), default="")


def _state(uri: str, finished: bool, cycles: int) -> str:
    if _is_held(uri):
        return RUNNING
    return FINISHED if finished else f"{STOPPED} after {cycles} cycles" if cycles else STOPPED


def _is_held(uri: str) -> bool:
    holder = read_small(lease_uri(uri))
    try:
        return bool(holder) and not lease.is_over(holder)
    except (KeyError, TypeError):
        return False


def _published(uri: str, steps: Iterable[re.Match[str]], name: str) -> list[str]:
    """Manifests of the steps of a name."""
    found = (storage.join(uri, step[0], MANIFEST) for step in steps if step["name"] == name)
    return [manifest for manifest in found if storage.stat(manifest)]


def _cycles(uri: str, steps: Iterable[re.Match[str]]) -> int:
    done = _published(uri, steps, "encoder")
    return max((int(step["cycle"]) for step in map(_step, done) if step["cycle"]), default=0)


def _step(manifest: str) -> re.Match[str]:
    found = STEP.fullmatch(manifest.split("/")[-2])
    assert found is not None  # it was one in `_published`
    return found


def _rows(uri: str, steps: Iterable[re.Match[str]], name: str) -> int | None:
    """Rows of the largest step of a name: several configs may share a run's folder."""
    rows = [_count(manifest) for manifest in _published(uri, steps, name)]
    return max((count for count in rows if count is not None), default=None)


def _count(manifest: str) -> int | None:
    units = storage.read_json(manifest).get("units")
    return sum(unit.get("rows_out", 0) for unit in units) if isinstance(units, list) else None


def table(runs: Iterable[Run]) -> str:
    """Runs as aligned columns."""
    head = ("run", "date", "documents", "labels", "cycles", "state", "shipped quality", "bundle")
    rows = [head, *(_cells(run) for run in runs)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _cells(run: Run) -> tuple[str, ...]:
    def number(value: int | None) -> str:
        return "–" if value is None else f"{value:,}"

    date = run.date.replace("T", " ").removesuffix("Z") or "–"
    numbers = number(run.documents), number(run.labels), str(run.cycles)
    return run.name, date, *numbers, run.state, run.quality or "–", run.bundle or "–"
