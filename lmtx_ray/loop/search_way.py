"""Whether many documents are searched by workers that each map the whole index, or sent through a
chain of stages that hold a part each.

Replicated while the index's files are no more than half of the memory of the smallest node: it is
mapped once a node, and the rest is for the workers themselves. Beyond that pages would be read from
the disk again for every chunk of documents.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.config.search import SearchWay
from lmtx_ray.io.units import Unit
from lmtx_ray.loop.machine import GIB, this_machine
from lmtx_ray.search.shard_file import SHARD

logger = logging.getLogger(__name__)
SHARE = 0.5  # of a node's memory that a whole index may take
MOST_UNIT = 256 << 20  # bytes of input: a stage of a chain holds the vectors of a whole unit
Shards = list[tuple[list[int], int]]  # of each stage: the numbers of its shards, and their bytes


def check_way(search: SearchWay, local: bool | None) -> None:
    """ValueError for a chain in one process."""
    if search == "chain" and local:
        raise ValueError("a chain needs Ray: leave out --local, or --search chain")


def planned_way(search: SearchWay, bundle: str, units: Sequence[Unit]) -> dict[str, Any]:
    """What would be done on nodes like this machine, and why. Raises as `shards_to_chain`."""
    sizes, memory = shard_sizes(bundle), int(this_machine().memory * GIB)
    way = _way(search, sum(sizes), memory, units)
    said = f"{way}, an index of {sum(sizes) / GIB:,.2f} GiB in {len(sizes)} shards"
    if search == "auto":
        said += f"; memory of this machine: {memory / GIB:,.1f} GiB"
    return {"way": way, "index_bytes": sum(sizes), "memory_bytes": memory, "said": said}


def _way(search: SearchWay, index: int, memory: float, units: Sequence[Unit]) -> SearchWay:
    is_large = bool(memory) and index > SHARE * memory
    if search == "replicated" or (search == "auto" and not is_large):
        return "replicated"
    large = next((unit for unit in units if unit.size > MOST_UNIT), None)
    if large is None:
        return "chain"
    said = (
        f"{large.uris[0]}: one unit of {large.size:,} bytes, and in a chain, where a unit's "
        f"vectors are in memory, none may have more than {MOST_UNIT:,}. JSONL and Parquet are cut "
        "by --unit-bytes"
    )
    if search == "chain":
        raise ValueError(f"{said}; or give --search replicated")
    logger.warning("%s. Each worker maps an index larger than half a node's memory", said)
    return "replicated"


def shard_sizes(uri: str) -> list[int]:
    """Bytes of each shard of a bundle's index, or of an index by itself, in order."""
    published = published_bundle(uri)
    names = published.index_files() or sorted(n for n in published.files if n.startswith(SHARD))
    return [published.size(name) for name in names]


def shards_to_chain(search: SearchWay, uri: str, units: Sequence[Unit]) -> Shards | None:
    """What each stage of a chain is to hold on the nodes that Ray has now; None for the whole index
    in every worker. `uri` is a bundle, or an index by itself.

    Raises:
        ValueError: `search` is "chain", and a unit is too large for one.
    """
    import ray

    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    memory = [one.get("memory", 0) + one.get("object_store_memory", 0) for one in there]
    sizes = shard_sizes(uri)
    if _way(search, sum(sizes), min(memory, default=0), units) == "replicated":
        return None
    shards = stages_of(sizes)
    logger.info("a chain of %d stages that search %d bytes", len(shards), sum(sizes))
    return shards if _have_room(shards, there) else [(numbers, 0) for numbers, _ in shards]


def stages_of(sizes: Sequence[int]) -> Shards:
    """The shards in order, each in a stage of its own; small ones, as labels that were added make
    them, together in one that is no larger than the largest."""
    stages: Shards = []
    for number, size in enumerate(sizes):
        if stages and stages[-1][1] + size <= max(sizes):
            stages[-1] = [*stages[-1][0], number], stages[-1][1] + size
        else:
            stages.append(([number], size))
    return stages


def _have_room(shards: Shards, nodes: Sequence[dict[str, float]]) -> bool:
    """Whether Ray finds memory for all; else none asks for it, as it would wait for ever."""
    free = [node.get("memory", 0) for node in nodes]
    for _, size in sorted(shards, key=lambda one: -one[1]):
        place = max(range(len(free)), key=free.__getitem__)
        if free[place] < size:
            logger.warning("the index is larger than the cluster's memory: it is read from disks")
            return False
        free[place] -= size
    return True
