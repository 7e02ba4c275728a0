"""Published tags: one manifest a generation, written last; readers see the union of all.

PLAN.json, MANIFEST.json                     the first generation
PLAN-001.json, MANIFEST-001.json             what --append-new added, and so on
data/<partition>/<unit>-<attempt>.parquet    tags, of which the manifests name those that count
rejects/…, ids/…                             bad rows; hashes of ids for the next generation
done/<unit>.json, epochs/…                   receipts, and which driver may commit
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.formats import read_files
from lmtx_ray.batch.plan import read_plans
from lmtx_ray.batch.settle import settle
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.reasons import MOST_SHOWN, Reasons
from lmtx_ray.corpus.settling import Done, with_bases
from lmtx_ray.io import disk, storage
from lmtx_ray.io.fence import Fence, StaleDriver, claimed
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import PLAN, name_of
from lmtx_ray.io.receipts import DATA, KINDS, REJECTS, Manifest, PublishError, Receipt
from lmtx_ray.io.units import Unit


def read_manifests(output: str) -> list[Manifest]:
    """Manifests of the published generations, oldest first."""
    manifests: list[Manifest] = []
    while (one := Dataset(output, generation=len(manifests))).is_complete():
        manifests.append(one.manifest())
    return manifests


def is_complete(output: str) -> bool:
    """Whether all generations that were planned are published."""
    plans = read_plans(output)
    return bool(plans) and len(read_manifests(output)) == len(plans)


def published_files(output: str, kind: str = DATA) -> list[str]:
    """URIs of the files of tags (or of another `kind`, such as REJECTS) that count, in input order.

    Raises:
        PublishError: Nothing is published there.
    """
    manifests = read_manifests(output)
    if not manifests:
        raise PublishError(f"{output}: no tags are published there")
    names = (unit.name(kind) for manifest in manifests for unit in manifest.units)
    return [storage.join(output, name) for name in names if name]


def read_tags(output: str) -> pa.Table:
    """All published tags of a batch output, in input order, in whatever format they are.

    Raises:
        PublishError: Nothing is published there, or a column is of several types.
    """
    files = published_files(output)
    kind = read_manifests(output)[0].about.get("format", "parquet")
    try:
        return read_files(files, kind)
    except pa.ArrowException as error:
        raise PublishError(
            f"{output}: a column has one type in one file of tags and another in another ({error});"
            " tag the inputs into outputs of their own"
        ) from error


def read_rejects(output: str) -> pa.Table:
    """All rows that were not tagged: source, position (from 1; 0 is a whole file), reason, raw."""
    tables = [storage.read_table(uri) for uri in published_files(output, REJECTS)]
    return pa.concat_tables([schemas.REJECTS.empty_table(), *tables])


def units_of(plan: dict[str, Any]) -> list[Unit]:
    """The units of a plan, in its order."""
    return [Unit.from_dict(unit) for unit in plan["units"]]


def dataset_of(output: str, plan: dict[str, Any], fence: Fence | None = None) -> Dataset:
    """What a plan's units are committed to."""
    return Dataset(output, plan["fingerprint"], plan["generation"], fence)


def publish(output: str, plans: Sequence[dict[str, Any]], fence: Fence) -> Manifest:
    """Settle the newest plan's units and write its manifest.

    Raises:
        PublishError: A unit or a file is missing, or rows were lost.
        StaleDriver: Another driver published, or took over.
        CorpusError: The first generation has no good row at all.
    """
    plan, earlier = plans[-1], _published(output, plans[:-1])
    dataset, units = dataset_of(output, plan, fence), units_of(plan)
    kind = plan["settings"]["output_format"]

    def final(receipts: Sequence[Receipt]) -> list[Receipt]:
        settled = settle(kind, earlier, with_bases(dataset, units, receipts))
        if plan["generation"] == 0:
            _refuse_nothing(dataset, settled)
        return settled

    about = {
        "version": 1,
        "contract": "tags/1",
        "format": kind,
        "generation": plan["generation"],
        "bundle": plan["bundle"],
        "publisher": fence.token,
    }
    return dataset.publish([unit.name for unit in units], settle=final, about=about)


def _published(output: str, plans: Sequence[dict[str, Any]]) -> list[Done]:
    done: list[Done] = []
    manifests = read_manifests(output)
    if len(manifests) > len(plans):
        raise StaleDriver(f"{output}: another driver published it first")
    for plan, manifest in zip(plans, manifests, strict=True):
        done += with_bases(dataset_of(output, plan), units_of(plan), manifest.units)
    return done


def _refuse_nothing(dataset: Dataset, units: Sequence[Receipt]) -> None:
    if any(unit.rows_out for unit in units):
        return
    rejects = [dataset.uri_of(unit.files[REJECTS]) for unit in units if REJECTS in unit.files]
    first = storage.read_table(rejects[0]).slice(0, MOST_SHOWN).to_pylist() if rejects else []
    reasons = Reasons.of(first, sum(unit.rejected for unit in units))
    raise CorpusError(f"no readable document, nothing was published to {dataset.uri}; {reasons}")


def rows_tagged(output: str, plan: dict[str, Any]) -> int:
    """Rows that the units of an unpublished plan have tagged so far."""
    dataset = dataset_of(output, plan)
    done = dataset.done_units() & {unit["name"] for unit in plan["units"]}
    return sum(receipt.rows_out for receipt in dataset.receipts(sorted(done)))


def discard(output: str, plan: dict[str, Any]) -> None:
    """Delete what the last plan, which is not published, has left, the plan last: a driver that is
    at work on it stops at its next commit. Files beside those of other plans are left to `sweep`.
    """
    with claimed(output, plan["conditional"]) as fence:
        if plan["generation"] == 0:
            for name in ("done", *KINDS):
                storage.remove_folder(storage.join(output, name))
        else:
            dataset_of(output, plan, fence).forget([unit["name"] for unit in plan["units"]])
        storage.remove_file(storage.join(output, name_of(PLAN, plan["generation"])))


def _files(output: str) -> dict[str, str]:
    """Data files that are there: the names that manifests have for them -> URIs."""
    start = storage.join(output, "")
    folders = (storage.join(output, kind) for kind in KINDS)
    return {
        uri.removeprefix(start): uri for folder in folders for uri in storage.list_files(folder)
    }


def _is_linked(output: str, name: str) -> bool:
    """Whether a file lies in a folder that is linked into the output: it is somebody's own."""
    if storage.parse_uri(output).scheme == "s3":
        return False
    kind, *inside = name.split("/")[:-1]
    place = Path(os.path.realpath(storage.local_path(storage.join(output, kind))))
    return Path(os.path.realpath(place.joinpath(*inside))) != place.joinpath(*inside)


def _drafts(output: str) -> list[str]:
    if storage.parse_uri(output).scheme == "s3":  # which has none
        return []
    return [str(path) for path in disk.drafts(storage.local_path(output))]


def sweep(output: str) -> list[str]:
    """Delete the data files that no manifest names, and drafts of killed writers; returns their
    URIs. Only when every plan is published: what runs may still need its files.

    Raises:
        PublishError: A run is unfinished, nothing is published, or no published file is there.
    """
    there, drafts = _files(output), _drafts(output)  # first: no file of a later plan is among them
    plans, manifests = read_plans(output), read_manifests(output)
    if not storage.exists(output):
        raise PublishError(f"{output}: no such folder")
    if not manifests or len(plans) != len(manifests):
        raise PublishError(f"{output}: a run is not published yet; finish it, then sweep")
    named = {file.name for one in manifests for file in one.stored()}
    if named.isdisjoint(there):
        raise PublishError(f"{output}: no file that was published is there; nothing was removed")
    orphans = [
        uri for name, uri in there.items() if name not in named and not _is_linked(output, name)
    ]
    for uri in [*orphans, *drafts]:
        storage.remove_file(uri)
    return [*orphans, *drafts]
