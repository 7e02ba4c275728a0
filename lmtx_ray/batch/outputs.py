"""Published tags: one manifest a generation, written last; readers see the union of all.

PLAN.json, MANIFEST.json                     the first generation
PLAN-001.json, MANIFEST-001.json             what --append-new added, and so on
data/<partition>/<unit>-<attempt>.parquet    tags, of which the manifests name those that count
rejects/…, ids/…                             bad rows; hashes of ids for the next generation
done/<unit>.json, epochs/…                   receipts, and which driver may commit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.formats import read_file
from lmtx_ray.batch.plan import Unit, name_of, read_plans
from lmtx_ray.batch.settle import Done, settle, with_bases
from lmtx_ray.batch.unit import receipt_uri
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import disk, storage
from lmtx_ray.io.fence import Fence, StaleDriver
from lmtx_ray.io.publish import PublishError

KINDS = ("data", "rejects", "ids")


def read_manifests(output: str) -> list[dict[str, Any]]:
    """Manifests of the published generations, oldest first."""
    manifests: list[dict[str, Any]] = []
    while storage.stat(uri := storage.join(output, name_of("MANIFEST", len(manifests)))):
        manifests.append(storage.read_json(uri))
    return manifests


def published_files(output: str, kind: str = "file") -> list[str]:
    """URIs of the files of tags (or of `kind` "rejects") that count, in input order.

    Raises:
        PublishError: Nothing is published there.
    """
    manifests = read_manifests(output)
    if not manifests:
        raise PublishError(f"{output}: no tags are published there")
    units = (unit for manifest in manifests for unit in manifest["units"])
    return [storage.join(output, unit[kind]) for unit in units if unit[kind]]


def read_tags(output: str) -> pa.Table:
    """All published tags of a batch output, in input order, in whatever format they are."""
    kind = read_manifests(output)[0]["format"] if read_manifests(output) else "parquet"
    tables = [read_file(uri, kind) for uri in published_files(output)]
    return pa.concat_tables(tables, promote_options="permissive")


def read_rejects(output: str) -> pa.Table:
    """All rows that were not tagged: source, position (from 1; 0 is a whole file), reason, raw."""
    tables = [storage.read_table(uri) for uri in published_files(output, "rejects")]
    return pa.concat_tables([schemas.REJECTS.empty_table(), *tables])


def units_of(plan: dict[str, Any]) -> list[Unit]:
    return [Unit.from_dict(unit) for unit in plan["units"]]


def done_units(output: str, plan: dict[str, Any]) -> set[str]:
    """Units of a plan that have a receipt."""
    receipts = storage.list_files(storage.join(output, "done"), ".json")
    names = {uri.rsplit("/", 1)[1].removesuffix(".json") for uri in receipts}
    return names & {unit["name"] for unit in plan["units"]}


def publish(output: str, plans: Sequence[dict[str, Any]], fence: Fence) -> dict[str, Any]:
    """Settle the newest plan's units and write its manifest.

    Raises:
        PublishError: A unit or a file is missing, or rows were lost.
        StaleDriver: Another driver published, or took over.
        CorpusError: The first generation has no good row at all.
    """
    plan = plans[-1]
    earlier = _published(output, plans[:-1])
    units = units_of(plan)
    missing = sorted({unit.name for unit in units} - done_units(output, plan))
    if missing:
        raise PublishError(f"{output}: units not done: {', '.join(missing[:5])}")
    receipts = [storage.read_json(receipt_uri(output, unit.name)) for unit in units]
    foreign = [one["unit"] for one in receipts if one["fingerprint"] != plan["fingerprint"]]
    if foreign:
        raise PublishError(f"{output}: unit {foreign[0]} was done for another plan")
    fence.check()
    kind = plan["settings"]["output_format"]
    final = settle(output, kind, earlier, with_bases(units, receipts))
    _check(output, plan, final)
    manifest = {
        "version": 1,
        "contract": "tags/1",
        "format": kind,
        "generation": plan["generation"],
        "fingerprint": plan["fingerprint"],
        "bundle": plan["bundle"],
        "publisher": fence.token,
        "units": final,
    }
    uri = storage.join(output, name_of("MANIFEST", plan["generation"]))
    if not fence.put_if_absent(uri, storage.to_json(manifest)):
        raise StaleDriver(f"{output}: another driver published it first")
    return manifest


def _published(output: str, plans: Sequence[dict[str, Any]]) -> list[Done]:
    done: list[Done] = []
    manifests = read_manifests(output)
    if len(manifests) > len(plans):
        raise StaleDriver(f"{output}: another driver published it first")
    for plan, manifest in zip(plans, manifests, strict=True):
        done += with_bases(units_of(plan), manifest["units"])
    return done


def _check(output: str, plan: dict[str, Any], units: Sequence[dict[str, Any]]) -> None:
    for unit in units:
        if unit["rows_in"] != unit["rows_out"] + unit["rejected"]:
            raise PublishError(
                f"{output}: unit {unit['unit']} read {unit['rows_in']} rows but wrote "
                f"{unit['rows_out']} and rejected {unit['rejected']}"
            )
    named = {
        storage.join(output, unit[kind])
        for unit in units
        for kind in ("file", "rejects", "ids")
        if unit[kind]
    }
    if absent := sorted(named - set(_files(output))):
        raise PublishError(f"{output}: file {absent[0]} is missing")
    if plan["generation"] == 0 and not any(unit["rows_out"] for unit in units):
        first = next((unit["rejects"] for unit in units if unit["rejects"]), None)
        reason = ""
        if first:
            row = storage.read_table(storage.join(output, first)).slice(0, 1).to_pylist()[0]
            reason = f"; {row['source']} row {row['position']}: {row['reason']}"
        raise CorpusError(f"no readable document, nothing was published to {output}{reason}")


def _files(output: str) -> list[str]:
    return [uri for kind in KINDS for uri in storage.list_files(storage.join(output, kind))]


def sweep(output: str) -> list[str]:
    """Delete the data files that no manifest names, and drafts of killed writers; returns their
    URIs. Only when every plan is published: what runs may still need its files.

    Raises:
        PublishError: A run is unfinished, or nothing is published.
    """
    there = _files(output)  # first: a file of a later plan cannot be among them
    plans, manifests = read_plans(output), read_manifests(output)
    if not manifests or len(plans) != len(manifests):
        raise PublishError(f"{output}: a run is not published yet; finish it, then sweep")
    units = [unit for manifest in manifests for unit in manifest["units"]]
    named = {
        storage.join(output, unit[kind])
        for unit in units
        for kind in ("file", "rejects", "ids")
        if unit[kind]
    }
    orphans = [uri for uri in there if uri not in named]
    for uri in orphans:
        storage.remove_file(uri)
    if "://" in output:
        return orphans
    left = disk.drafts(storage.local_path(output))
    for path in left:
        path.unlink(missing_ok=True)
    return [*orphans, *(str(path) for path in left)]
