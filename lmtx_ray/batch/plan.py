"""PLAN.json: what one generation of a job reads, in which units, with which bundle and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmtx_ray.batch.job import TagJob
from lmtx_ray.corpus.cutting import make_units
from lmtx_ray.corpus.inputs import InputFile, listed_in
from lmtx_ray.io import storage
from lmtx_ray.io.fence import StaleDriver
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.published import MANIFEST, PLAN, name_of
from lmtx_ray.io.receipts import PublishError


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
        "units": [
            unit.to_dict() for unit in make_units(inputs, job.source, job.unit_bytes, generation)
        ],
    }
    return {**plan, "fingerprint": fingerprint(plan)}


def refuse_among_inputs(output: str, inputs: Sequence[str], form: str = "") -> None:
    """PublishError where the next command would read its own output as an input: one file, or a
    folder of files of a `form`."""
    written = (f"0.{form}", "0.parquet", "0.json") if form else ()
    if place := listed_in(output, inputs, written):
        raise PublishError(
            f"{output}: it lies in the input {place}, and would be read as one; write it somewhere "
            "else"
        )


def read_plans(output: str) -> list[dict[str, Any]]:
    """The plans of an output, oldest first."""
    plans: list[dict[str, Any]] = []
    while storage.stat(uri := storage.join(output, name_of(PLAN, len(plans)))):
        plans.append(storage.read_json(uri))
    if not plans and storage.stat(storage.join(output, MANIFEST)):
        raise PublishError(f"{output}: holds something else than tags; use another folder")
    return plans


def refuse_replaced(output: str, plan: dict[str, Any]) -> None:
    """Raises StaleDriver where a plan is not there any more, or another in its place."""
    uri = storage.join(output, name_of(PLAN, plan["generation"]))
    there = storage.read_json(uri) if storage.stat(uri) else {}
    if there.get("fingerprint") != plan["fingerprint"]:
        raise StaleDriver(f"{output}: another driver took over; this one stops")


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
    _refuse_other_order(where, plans, now)
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


def _refuse_other_order(
    where: str, plans: Sequence[dict[str, Any]], now: Mapping[str, InputFile]
) -> None:
    """PublishError where files of one plan come in another order now: of two rows of one id the
    first stays."""
    for plan in plans:
        then = [file["uri"] for file in plan["inputs"] if file["uri"] in now]
        planned = set(then)
        for uri, other in zip(then, (uri for uri in now if uri in planned), strict=True):
            if uri != other:
                what = f"input {uri} comes in another order"
                raise PublishError(f"{where}: {what}; use another folder")


def _differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{path}{key}.")
        elif before != after:
            yield f"{path}{key} was {before!r}, not {after!r}"
