"""Batch tagging: plan the inputs, tag what is not done yet, settle and publish.

Every step may be killed and repeated; `batch.outputs` says what lies where.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from lmtx_ray.batch.chunks import read_chunks
from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.outputs import (
    dataset_of,
    discard,
    is_complete,
    publish,
    read_manifests,
    rows_tagged,
    units_of,
)
from lmtx_ray.batch.plan import (
    make_plan,
    new_inputs,
    read_plans,
    refuse_among_inputs,
    refuse_replaced,
)
from lmtx_ray.batch.unit import UnitWork
from lmtx_ray.bundle.cache import DESCRIPTION, open_bundle, require_bundle
from lmtx_ray.bundle.defaults import read_defaults
from lmtx_ray.config.search import SearchWay
from lmtx_ray.corpus.cutting import make_units
from lmtx_ray.corpus.inputs import InputFile, changed_since, list_inputs
from lmtx_ray.io import storage
from lmtx_ray.io.fence import claimed
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST, PLAN, name_of
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.io.stage import Stage
from lmtx_ray.io.units import Unit
from lmtx_ray.loop.filter_check import check_columns, check_filter
from lmtx_ray.loop.search_way import check_way, planned_way
from lmtx_ray.loop.tag_pool import Pool, tag_here, tag_on_ray

__all__ = ["TagJob", "plan_tags", "tag_corpus"]
logger = logging.getLogger(__name__)
LOCAL_BYTES = 32 << 20  # so little is done before a cluster has started
BYTES_A_ROW = 1500  # of plain text, for estimates

Plan = dict[str, Any]


def plan_tags(job: TagJob, search: SearchWay = "auto") -> dict[str, Any]:
    """What tagging would read, and how it would search on nodes like this machine, without loading
    a model or writing anything. Raises as `tag_corpus` of inputs."""
    job = settled(job)
    inputs = list_inputs(job.source.documents, identify=False)
    check_columns(job, inputs)
    units = make_units(inputs, job.source, job.unit_bytes)
    first, size = _first_rows(job, units), sum(file.size for file in inputs)
    return {
        "bundle": job.bundle,
        "output": job.output,
        "top_k": job.top_k,
        "min_probability": job.min_probability,
        "files": len(inputs),
        "units": len(units),
        "bytes": size,
        "rows_about": max(size // BYTES_A_ROW, first["good"] + first["rejected"]),
        "complete": is_complete(job.output),
        "search": planned_way(search, job.bundle, units),
        "first_rows": first,
        "inputs": [{"uri": file.uri, "bytes": file.size} for file in inputs[:20]],
    }


def _first_rows(job: TagJob, units: Sequence[Unit]) -> dict[str, Any]:
    """How many rows at the beginning can be tagged and how many cannot; said of the latter."""
    chunk = next(read_chunks(units[0], job, []))
    good, rejected, said = len(chunk.documents), len(chunk.rejects), ""
    if rejected:
        said = f"of the first {good + rejected:,} rows {rejected:,} cannot be tagged: "
        said += "{source}: {reason}".format(**chunk.rejects[0])
    return {"good": good, "rejected": rejected, "said": said}


def tag_corpus(
    job: TagJob,
    append_new: bool = False,
    actors: int | None = None,
    local: bool | None = None,
    start: Callable[[], None] | None = None,
    overwrite: bool = False,
    search: SearchWay = "auto",
) -> dict[str, Any]:
    """Tag every readable document of the inputs and publish tags and rejects.

    A job that published nothing and tagged nothing yet, as a wrong column ends, may be corrected:
    what it left in the output is dropped.

    Args:
        append_new: Tag only files that were not there before, as a further generation.
        actors: Taggers in the pool; as many as the cluster has GPUs or CPUs if None.
        local: In this process, without Ray; None decides by the size of the input.
        start: Called before Ray is needed.
        overwrite: Drop what another job has tagged there but not published.
        search: How the index is shared out to the pool, see `search_way`; no answer depends on it.

    Raises:
        ValueError: `search` is "chain", and `local` true or a unit too large for one.
        PublishError: The output folder holds another job's tags, or inputs, settings or bundle
            changed; the message says what. Its subclass StaleDriver: another driver took over.
        CorpusError: There is no readable document.
        StorageError: An input or the output failed; a repeated call goes on.
    """
    began, started = time.time(), time.monotonic()
    check_way(search, local)
    job = settled(job).model_copy(update={"output": storage.absolute(job.output)})
    pool = Pool(actors, search)
    bundle = bundle_identity(job)
    with Stage("looking at the inputs"):
        inputs = list_inputs(job.source.documents)
        check_columns(job, inputs)
    plans = _without_mistake(job, bundle, inputs, read_plans(job.output), append_new, overwrite)
    tagged = 0
    while plan := _next_plan(job, bundle, inputs, plans, append_new):
        here = (
            _is_small(plan) and pool.may_be_left if local is None else local
        )  # of this plan alone
        tagged += _run(
            job, [*plans[: plan["generation"]], plan], inputs, None if here else pool, start, began
        )
        plans = read_plans(job.output)
    return _result(job, plans, tagged, time.monotonic() - started)


def _named(job: TagJob) -> TagJob:
    bundle = resolve(storage.absolute(job.bundle))
    if job.min_probability and storage.stat(storage.join(bundle, MANIFEST)):
        folder = open_bundle(bundle, lambda name: name == DESCRIPTION).folder
        if storage.read_json(f"{folder}/{DESCRIPTION}").get("calibration") is None:
            raise ValueError(
                f"--min-probability {job.min_probability:g}: nobody judged the tags of {bundle}, "
                "so none has a probability; leave it out, or run a config with a judge"
            )
    return job.model_copy(update={"bundle": bundle})


def bundle_identity(job: TagJob) -> dict[str, str]:
    """What tells a job's bundle from others. Raises PublishError where there is no bundle."""
    require_bundle(job.bundle)
    manifest = storage.join(job.bundle, MANIFEST)
    return {
        "fingerprint": storage.read_json(manifest)["fingerprint"],
        "sha256": storage.sha256_of(manifest),
    }


def _without_mistake(
    job: TagJob,
    bundle: dict[str, str],
    inputs: Sequence[InputFile],
    plans: list[Plan],
    append: bool,
    overwrite: bool,
) -> list[Plan]:
    """The plans, without a last one that is not published and that this job cannot finish."""
    published = len(read_manifests(job.output))
    if published >= len(plans):
        return plans
    try:
        new_inputs(plans, job, bundle, inputs, append)
        _refuse_gone(job.output, plans[-1], inputs)
    except PublishError as error:
        if published:  # where something is wrong with these too, nothing is dropped
            new_inputs(plans[:-1], job, bundle, inputs, append)
        tagged = rows_tagged(job.output, plans[-1])
        what = str(error).removesuffix("; use another folder")
        if tagged and not overwrite:
            raise PublishError(
                f"{what}; that job is not published yet, but {tagged:,} rows are tagged: repeat "
                "its command to finish it, or give --overwrite to drop them"
            ) from None
        logger.warning("%s; nothing of it is published, it is dropped", what)
        discard(job.output, plans[-1])
        return plans[:-1]
    return plans


def _refuse_gone(output: str, plan: Plan, inputs: Sequence[InputFile]) -> None:
    """PublishError where a file is gone before it was tagged: the plan cannot be finished."""
    there, done = {file.uri for file in inputs}, dataset_of(output, plan).done_units()
    left = [uri for unit in units_of(plan) if unit.name not in done for uri in unit.uris]
    if gone := [uri for uri in left if uri not in there]:
        raise PublishError(f"{output}: input {gone[0]} is gone, and was not tagged yet")


def settled(job: TagJob, folder: bool = True) -> TagJob:
    """The job with the bundle that its run's name stands for now, and that bundle's defaults where
    it leaves something open: they are in its plan.

    Raises:
        PublishError: There is no bundle; or the output lies among the inputs.
        ValueError: A threshold for a bundle that knows no probabilities; a filter that leaves no
            label. Its subclass UnknownKeys: a filter of keys that are not in the label set.
    """
    job = _named(job)
    require_bundle(job.bundle)
    check_filter(job)
    refuse_among_inputs(job.output, job.source.documents, job.output_format if folder else "")
    wanted = read_defaults(job.bundle).or_else(job.top_k, job.min_probability)
    return job.model_copy(update=vars(wanted))


def _next_plan(
    job: TagJob,
    bundle: dict[str, str],
    inputs: Sequence[InputFile],
    plans: list[Plan],
    append: bool,
) -> Plan | None:
    """An unfinished plan, else a new one for files that no plan has, else None."""
    fresh = new_inputs(plans, job, bundle, inputs, append) if plans else list(inputs)
    if plans and len(read_manifests(job.output)) < len(plans):
        return plans[-1]
    if not fresh:
        return None
    conditional = storage.put_is_conditional(job.output)
    plan = make_plan(job, bundle, fresh, len(plans), conditional)
    uri = storage.join(job.output, name_of(PLAN, len(plans)))
    data = storage.to_json(plan)
    if conditional and not storage.put_if_absent(uri, data):
        plan = storage.read_json(uri)
        new_inputs([*plans, plan], job, bundle, inputs, append)
    elif not conditional and not storage.stat(uri):
        storage.write_bytes(uri, data)
    return plan


def _is_small(plan: Plan) -> bool:
    return bool(sum(unit["size"] for unit in plan["units"]) <= LOCAL_BYTES)


def _run(
    job: TagJob,
    plans: list[Plan],
    inputs: Sequence[InputFile],
    pool: Pool | None,
    start: Callable[[], None] | None,
    began: float,
) -> int:
    """Do what is left of the newest plan and publish it, in this process without a pool; returns
    the rows tagged here."""
    plan, tagged = plans[-1], 0
    with claimed(job.output, plan["conditional"]) as fence:
        refuse_replaced(job.output, plan)  # as another could drop it before it was claimed
        dataset = dataset_of(job.output, plan, fence)
        done = dataset.done_units() & {unit["name"] for unit in plan["units"]}
        waiting = [unit for unit in units_of(plan) if unit.name not in done]
        if done:
            logger.info("tag: %d of %d units were done before", len(done), len(plan["units"]))
        work = UnitWork(job, dataset)
        if waiting:
            if pool and start:
                start()
            tagged = tag_on_ray(waiting, work, pool) if pool else tag_here(waiting, work)
        with Stage("publishing"):
            _refuse_changed(dataset, units_of(plan), inputs, began)
            publish(job.output, plans, fence)
    return tagged


def _refuse_changed(
    dataset: Dataset, units: Sequence[Unit], inputs: Sequence[InputFile], began: float
) -> None:
    """PublishError naming the first input that was changed since the job began. What was read of
    such files is forgotten: once they are as they were, they are read anew. Of one that is gone the
    tags stay, as it may be meant to."""
    if changed := changed_since(inputs, began):
        there = set(filter(storage.stat, changed))
        dataset.forget([unit.name for unit in units if not there.isdisjoint(unit.uris)])
        raise PublishError(f"{changed[0]}: it was changed since the job began")


def _result(job: TagJob, plans: list[Plan], tagged: int, seconds: float) -> dict[str, Any]:
    units = [unit for manifest in read_manifests(job.output) for unit in manifest.units]
    return {
        "documents": sum(unit.rows_out for unit in units),
        "rejects": sum(unit.rejected for unit in units),
        "tags": job.output,
        "generations": len(plans),
        "units": len(units),
        "tagged_now": tagged,
        "seconds": round(seconds, 1),
        "rows_per_second": round(tagged / max(seconds, 1e-9), 1),
    }
