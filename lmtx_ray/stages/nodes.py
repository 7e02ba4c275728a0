"""Looks whether every node of the cluster sees the folder that a run writes to."""

from __future__ import annotations

import uuid

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lmtx_ray.io import storage
from lmtx_ray.io.locations import StorageError, parse_uri

PATIENCE_SECONDS = 60


def require_shared(uri: str) -> None:
    """Each node there is now looks for a file that this process writes at `uri`; s3 is shared.

    Raises:
        StorageError: A node does not see it: the folder is on one machine's disk.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if parse_uri(uri).scheme == "s3" or len(nodes) < 2:
        return
    folder = storage.join(uri, f".seen-{uuid.uuid4().hex[:8]}")
    probe = storage.join(folder, "probe")
    storage.write_bytes(probe, b"")
    try:
        seen = [_sees_from(node["NodeID"], probe) for node in nodes]
        asked, _ = ray.wait(seen, num_returns=len(seen), timeout=PATIENCE_SECONDS)
        blind = [
            node["NodeManagerAddress"]
            for node, answer in zip(nodes, seen, strict=True)
            if answer in asked and not _true(answer)
        ]
    finally:
        storage.remove_folder(folder)
    if blind:
        raise StorageError(
            f"{uri}: not seen on {', '.join(blind)}; a run on several nodes needs a folder that "
            "all of them share, or an s3:// URI"
        )


def _sees_from(node_id: str, uri: str) -> ray.ObjectRef:
    strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
    look = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=strategy)(storage.exists)
    return look.remote(uri)


def _true(answer: ray.ObjectRef) -> bool:
    """A node that went away meanwhile is no reason to refuse."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayError:
        return True
