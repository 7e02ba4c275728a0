"""What a machine needs to search one index in several processes, and what sharing costs in speed.

    python -m benchmarks.index_memory [--quick] [--labels N] [--dimensions D]

Memory is PSS: a page that two processes share counts half for each. With few labels most of it is
the libraries' own. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ASKED, K, PIECE = 64, 50, 1 << 13
RESULTS = Path(__file__).resolve().parent / "results"
MOST_MEMORY = 1.3  # of one process, for two
MOST_TIME = 1.15  # of a private packed copy, for a query alone


def unit_vectors(rows: int, dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """Pieces of random float32 unit vectors, `rows` together."""
    draw = np.random.default_rng(seed)
    for start in range(0, rows, PIECE):
        shape = min(PIECE, rows - start), dimensions
        piece = draw.standard_normal(shape, dtype=np.float32)
        yield piece / np.linalg.norm(piece, axis=1, keepdims=True)


def pss_mib(pid: int) -> float:
    """Proportional set size of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (pss,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return pss / 1024


def serve(folder: str, dimensions: int, pipe: Connection) -> None:
    """One process: load the index, search it, wait to be measured. Without a folder it only loads
    the libraries."""
    from lmtx_ray.search.index import LabelIndex
    from lmtx_ray.search.threads import use_threads

    use_threads(1)
    queries = next(unit_vectors(ASKED, dimensions, 2))
    index = LabelIndex.load(folder) if folder else None
    for number in (1, ASKED, 1) if index else ():
        index.search(queries[:number], K)
    pipe.send("ready")
    pipe.recv()


def memory(folder: str, dimensions: int, processes: int) -> float:
    """MiB of PSS of so many processes that have loaded and searched the index."""
    context = multiprocessing.get_context("spawn")
    started, pipes = [], []
    for _ in range(processes):
        pipe, other = context.Pipe()
        process = context.Process(target=serve, args=(folder, dimensions, other))
        process.start()
        other.close()
        started.append(process)
        pipes.append(pipe)
    for pipe in pipes:
        pipe.recv()
    used = sum(pss_mib(process.pid) for process in started if process.pid)
    for pipe, process in zip(pipes, started, strict=True):
        pipe.send("done")
        process.join()
    return used


def milliseconds(
    works: Mapping[str, Callable[[], object]], seconds: float = 8.0
) -> dict[str, float]:
    """The least CPU time of each call, called in turn: what else the machine does adds to all."""
    least = {name: float("inf") for name in works}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, work in works.items():
            began = time.thread_time()
            work()
            least[name] = min(least[name], time.thread_time() - began)
    return {name: round(1000 * spent, 2) for name, spent in least.items()}


def speed(folder: str, dimensions: int) -> dict[str, float]:
    """Milliseconds of searches for 1 and 64 queries on one thread: matrix products of the mapped
    8-bit rows, the same of a packed private copy, and FAISS on the mapped float32 and 8-bit rows
    ("scan", which the index takes for few queries)."""
    import torch

    from lmtx_ray.search.among import Among
    from lmtx_ray.search.index import LabelIndex
    from lmtx_ray.search.int8_nearest import Int8Nearest
    from lmtx_ray.search.int8_product import Int8Product, to_uint8
    from lmtx_ray.search.int8_scan import Int8Scan
    from lmtx_ray.search.shard_file import read_shard, shard_files
    from lmtx_ray.search.threads import use_threads

    torch.set_num_threads(1)
    use_threads(1)
    shard = read_shard(shard_files(folder)[0])
    assert shard.int8 is not None
    near, packed = Int8Nearest(shard.int8), Int8Product(torch.from_numpy(shard.vectors_LD.copy()))
    (whole,) = LabelIndex.load(folder).shards
    queries, every = next(unit_vectors(ASKED, dimensions, 2)), Among.of(None, len(whole))
    spent: dict[str, float] = {}
    scan = Int8Scan(shard.int8, shard_files(folder)[0], shard.bytes_at)
    for number in (1, ASKED):
        asked = queries[:number]
        in_int8 = torch.from_numpy(np.rint(asked / np.abs(asked).max() * 127).astype(np.int8))
        works: dict[str, Callable[[], object]] = {
            "shared": lambda rows=in_int8: deque(near._products(rows, every), maxlen=0),
            "packed": lambda rows=in_int8: packed(to_uint8(rows), 1.0, 128),
            "float32": lambda rows=asked: whole._in_float32(rows, K, None),
            "scan": lambda rows=asked: scan.search(rows, K),
        }
        spent |= {f"{name}_{number}": least for name, least in milliseconds(works).items()}
    return spent


def asked(what: str, value: float, wanted: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "wanted": wanted, "met": value <= wanted}


def run(labels: int, dimensions: int) -> dict[str, Any]:
    """Write an index, measure it, remove it."""
    from lmtx_ray.search.hardware import has_int8
    from lmtx_ray.search.shard_file import shard_name, write_shard

    with tempfile.TemporaryDirectory() as folder:
        shape = labels, dimensions
        write_shard(Path(folder, shard_name(0)), unit_vectors(*shape, 1), shape)
        bare = memory("", dimensions, 2)
        one, two = (memory(folder, dimensions, number) for number in (1, 2))
        spent = speed(folder, dimensions)
    index = (two - bare) / (one - bare / 2)
    return {
        "labels": labels,
        "dimensions": dimensions,
        "multiplies_int8": has_int8(),
        "mib": {"two without an index": round(bare), "one": round(one), "two": round(two)},
        "milliseconds": spent,
        "asked": [
            asked("memory of two processes, of one's", two / one, MOST_MEMORY),
            asked("the same without what their libraries take", index, MOST_MEMORY),
            asked(
                "time of a query alone, of a packed copy's",
                spent["scan_1"] / spent["packed_1"],
                MOST_TIME,
            ),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--quick", action="store_true", help="a tenth of the labels")
    arguments = parser.parse_args()
    labels = arguments.labels // (10 if arguments.quick else 1)
    result = run(labels, arguments.dimensions)
    kind = "-quick" if arguments.quick else ""
    path = RESULTS / f"index_memory-{datetime.date.today().isoformat()}{kind}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
