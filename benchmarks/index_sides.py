"""One side of the index benchmark, alone in its process; the last line is JSON.

    python -m benchmarks.index_sides STEP FOLDER

Steps: `truth`, `build-exact`, `build-ivf`, `build-hnsw`, `exact`, `ivf`, `hnsw`, `hnswlib`. FOLDER
holds `vectors.safetensors` with `vectors`, `queries` and `documents`, and what earlier steps wrote.
Shapes: L labels, D dimensions, Q queries, K found.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lmtx_ray.search.tensor_file import TensorFile, open_tensors, write_tensors

K, BATCH, SECONDS = 100, 128, 10.0  # seconds at most of one kind of timing, after the first round
M, EF_CONSTRUCTION, EF_SEARCH = 100, 300, 300  # the paper's settings of hnswlib
PIECE = 1 << 13
ASKED = {"queries": "recall", "documents": "recall_of_documents"}
Search = Callable[[np.ndarray], np.ndarray]  # queries_QD -> ids_QK


def threads() -> int:
    """All cores that this process may use."""
    return len(os.sched_getaffinity(0))


def opened(folder: Path) -> TensorFile:
    """The label vectors, and what is asked."""
    return open_tensors(folder / "vectors.safetensors")


def truth(folder: Path) -> dict[str, Any]:
    """Keep the true nearest of each query and document: exact search in float32."""
    import faiss

    arrays, began = opened(folder).arrays, time.perf_counter()
    faiss.omp_set_num_threads(threads())
    nearest = partial(faiss.knn, xb=arrays["vectors"], k=K, metric=faiss.METRIC_INNER_PRODUCT)
    found = {name: nearest(arrays[name])[1] for name in ASKED if len(arrays[name])}
    write_tensors(folder / "truth.safetensors", found)
    return {"seconds": round(time.perf_counter() - began, 2)}


def build_exact(folder: Path) -> dict[str, Any]:
    """Write the shard's file: vectors, and their 8-bit copy."""
    from lmtx_ray.search.shard_file import shard_name, write_shard

    vectors_LD = opened(folder).arrays["vectors"]
    shutil.rmtree(folder / "index", ignore_errors=True)
    (folder / "index").mkdir()
    began = time.perf_counter()
    pieces = (vectors_LD[start : start + PIECE] for start in range(0, len(vectors_LD), PIECE))
    write_shard(folder / "index" / shard_name(0), pieces, vectors_LD.shape)
    return {"seconds": round(time.perf_counter() - began, 2)}


def build_approximate(folder: Path, kind: str) -> dict[str, Any]:
    """Make what searches the shard approximately, and settle how widely."""
    from lmtx_ray.search.approximate import settle
    from lmtx_ray.search.threads import use_threads

    use_threads(threads())
    began = time.perf_counter()
    settled = settle(folder / "index", 0, kind, 0.99)
    seconds = round(time.perf_counter() - began, 2)
    if settled is None:
        return {"seconds": seconds}
    found = round(settled.found, 4)
    return {"seconds": seconds, "width": settled.width, "recall_of_samples": found}


def ours(folder: Path, kind: str) -> dict[str, Any]:
    """Load the index as the service does, and search it."""
    import torch

    from lmtx_ray.search.approximate_file import approximate_name
    from lmtx_ray.search.index import LabelIndex
    from lmtx_ray.search.threads import use_threads

    use_threads(threads())
    torch.set_num_threads(threads())
    beside = folder / "index" / approximate_name(0)
    if kind == "exact":
        beside.unlink(missing_ok=True)
    index = LabelIndex.load(folder / "index")
    own = index.shards[0].approximate
    if (own.kind if own else "exact") != kind:
        return {"skipped": f"no {kind} of these labels was good enough"}
    return measured(folder, lambda queries: index.search(queries, K)[0])


def hnswlib_side(folder: Path) -> dict[str, Any]:
    """Build hnswlib's index at the paper's settings and search it."""
    import hnswlib

    held = opened(folder)
    vectors_LD = held.arrays["vectors"]
    index = hnswlib.Index(space="ip", dim=vectors_LD.shape[1])
    index.init_index(len(vectors_LD), ef_construction=EF_CONSTRUCTION, M=M)
    index.set_num_threads(threads())
    began = time.perf_counter()
    for start in range(0, len(vectors_LD), PIECE):
        index.add_items(vectors_LD[start : start + PIECE])
        print(start, round(time.perf_counter() - began), file=sys.stderr, flush=True)
    seconds = round(time.perf_counter() - began, 2)
    index.set_ef(EF_SEARCH)
    held.forget()
    found = measured(folder, lambda queries: index.knn_query(queries, k=K)[0])
    return {"build_seconds": seconds, **found}


def measured(folder: Path, search: Search) -> dict[str, Any]:
    """Recall, queries a second and memory."""
    queries_QD = np.array(opened(folder).arrays["queries"])
    batch, single = (rate(search, queries_QD, size) for size in (BATCH, 1))
    return {
        **recalls(folder, search),
        "batch_per_second": round(batch, 1),
        "single_per_second": round(single, 1),
        "memory_mib": memory_mib(),
    }


def recalls(folder: Path, search: Search) -> dict[str, float]:
    """The share of the true nearest that is found, of queries and of a set's documents."""
    arrays, found = opened(folder).arrays, {}
    for name, rows_QK in open_tensors(folder / "truth.safetensors").arrays.items():
        asked_QD = np.array(arrays[name])
        parts = [search(asked_QD[at : at + BATCH]) for at in range(0, len(asked_QD), BATCH)]
        pairs = zip(np.concatenate(parts), rows_QK, strict=True)
        recall = float(np.mean([np.isin(true, own).mean() for own, true in pairs]))
        found[ASKED[name]] = round(recall, 4)
    return found


def rate(search: Search, queries_QD: np.ndarray, size: int) -> float:
    """Queries a second, `size` at a time, until all were asked or the time is over."""
    search(queries_QD[:size])
    began, asked = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS and asked < 20 * len(queries_QD):
        at = asked % (len(queries_QD) - size + 1)
        search(queries_QD[at : at + size])
        asked += size
    return asked / (time.perf_counter() - began)


def memory_mib() -> int:
    """Resident memory of this process, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return kib // 1024


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "truth":
        done = truth(folder)
    elif step == "build-exact":
        done = build_exact(folder)
    elif step.startswith("build-"):
        done = build_approximate(folder, step.removeprefix("build-"))
    elif step == "hnswlib":
        done = hnswlib_side(folder)
    else:
        done = ours(folder, step)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
