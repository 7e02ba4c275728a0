"""PLAN.json: what one generation of a job reads, in which units, with which bundle and settings.

Units are a function of the inputs alone, so every driver makes the same ones. A unit is many small
files of one partition, or a part of a big one: row groups of Parquet, a span of lines of plain
JSONL. What cannot be cut (compressed files, CSV, text) is streamed whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lmtx_ray.batch.inputs import InputFile
from lmtx_ray.batch.job import TagJob
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.parquet import open_parquet
from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.publish import MANIFEST
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.io.units import Part, Unit

MOST_UNITS = 10_000
MOST_FILES = 1_000  # of one unit


def make_units(inputs: Sequence[InputFile], job: TagJob, generation: int) -> list[Unit]:
    """Units of `generation`, in input order; none crosses a partition."""
    target = max(job.unit_bytes, sum(file.size for file in inputs) // MOST_UNITS)
    units: list[Unit] = []

    def add(partition: str, size: int, parts: Sequence[Part]) -> None:
        name = f"{generation:03d}-{len(units):05d}"
        units.append(Unit(name, tuple(parts), partition, size))

    waiting: list[InputFile] = []

    def flush() -> None:
        if waiting:
            parts = [Part(file.uri, file.etag) for file in waiting]
            add(waiting[0].partition, sum(file.size for file in waiting), parts)
            waiting.clear()

    for file in inputs:
        pieces = list(_cut(file, job, target)) if file.size > target else []
        full = sum(other.size for other in waiting) + file.size > target
        if (
            pieces
            or full
            or len(waiting) == MOST_FILES
            or (waiting and waiting[0].partition != file.partition)
        ):
            flush()
        for size, part in pieces:
            add(file.partition, size, [part])
        if not pieces:
            waiting.append(file)
    flush()
    return units


def _cut(file: InputFile, job: TagJob, target: int) -> Iterator[tuple[int, Part]]:
    try:
        kind = kind_of(file.uri, job.source)
    except CorpusError:
        return
    if kind == "jsonl" and not file.uri.endswith((".gz", ".zst")):
        for start in range(0, file.size, target):
            stop = min(start + target, file.size)
            yield stop - start, Part(file.uri, file.etag, start, stop)
    elif kind == "parquet":
        yield from _cut_groups(file, target)


def _cut_groups(file: InputFile, target: int) -> Iterator[tuple[int, Part]]:
    try:
        with open_parquet(file.uri, file.etag) as parquet:
            groups = [parquet.metadata.row_group(n) for n in range(parquet.num_row_groups)]
    except CorpusError:  # its unit will say so
        return
    start = size = row = first = 0
    for number, group in enumerate(groups, start=1):
        size += sum(group.column(n).total_compressed_size for n in range(group.num_columns))
        row += group.num_rows
        if size >= target or number == len(groups):
            yield size, Part(file.uri, file.etag, start, number, first)
            start, size, first = number, 0, row


def make_plan(
    job: TagJob,
    bundle: dict[str, str],
    inputs: Sequence[InputFile],
    generation: int,
    conditional: bool,
) -> dict[str, Any]:
    """The content of PLAN.json; `conditional` says whether the store heeds put-if-absent."""
    plan = {
        "version": 1,
        "generation": generation,
        "bundle": bundle,
        "settings": job.result_settings(),
        "conditional": conditional,
        "inputs": [file.to_dict() for file in inputs],
        "units": [unit.to_dict() for unit in make_units(inputs, job, generation)],
    }
    return {**plan, "fingerprint": fingerprint(plan)}


def name_of(kind: str, generation: int) -> str:
    """PLAN.json and MANIFEST.json, with a number from the first appended generation on."""
    return f"{kind}.json" if generation == 0 else f"{kind}-{generation:03d}.json"


def read_plans(output: str) -> list[dict[str, Any]]:
    """The plans of an output, oldest first."""
    plans: list[dict[str, Any]] = []
    while storage.stat(uri := storage.join(output, name_of("PLAN", len(plans)))):
        plans.append(storage.read_json(uri))
    if not plans and storage.stat(storage.join(output, MANIFEST)):
        raise PublishError(f"{output}: holds something else than tags; use another folder")
    return plans


def new_inputs(
    plans: Sequence[dict[str, Any]],
    job: TagJob,
    bundle: dict[str, str],
    inputs: Sequence[InputFile],
    append: bool,
) -> list[InputFile]:
    """The files that no plan holds. With `append`, files may have gone and new ones may be there.

    Raises:
        PublishError: The job differs from what was planned; the message says in what.
    """
    where = f"{job.output}: holds the tags of another job"
    if plans[0]["bundle"] != bundle:
        old = plans[0]["bundle"]
        raise PublishError(f"{where}: the bundle was {old}, not {bundle}; use another folder")
    if changes := list(_differences(plans[0]["settings"], job.result_settings())):
        raise PublishError(f"{where}: {'; '.join(changes)}; use another folder")
    known = {file["uri"]: file for plan in plans for file in plan["inputs"]}
    now = {file.uri: file for file in inputs}
    for uri in [uri for uri in known if uri in now]:
        if known[uri]["identity"] != now[uri].identity:
            sizes = f"{known[uri]['size']} bytes then, {now[uri].size} now"
            raise PublishError(f"{where}: input {uri} changed since ({sizes}); use another folder")
    fresh = [file for file in inputs if file.uri not in known]
    gone = [uri for uri in known if uri not in now]
    if gone and not append:
        raise PublishError(f"{where}: input {gone[0]} is gone ({len(gone)} are)")
    if fresh and not append:
        raise PublishError(
            f"{where}: input {fresh[0].uri} is new ({len(fresh)} are); use another folder, or "
            "--append-new to tag the new files only"
        )
    return fresh


def _differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{path}{key}.")
        elif before != after:
            yield f"{path}{key} was {before!r}, not {after!r}"
