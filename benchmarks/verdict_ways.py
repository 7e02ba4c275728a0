"""What is measured of the verdict store: building it, the join with it, and reading all of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import made_verdicts as made
from benchmarks.made_verdicts import LABELS, SHIFT
from lmtx_ray.teacher import questions
from lmtx_ray.verdicts import layers
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Partition

UNIT = 128  # documents
PART, STEP = 512, 100  # documents of a part, parts between two merges
TAIL = 32  # parts of a unit each that are not merged


def memory_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


@contextlib.contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Peaks of memory, in MiB over what the process has now; there when the block is left."""
    private, resident = memory_kib("RssAnon"), memory_kib("VmRSS")
    peak, done, result = [private], threading.Event(), {}

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], memory_kib("RssAnon"))

    thread = threading.Thread(target=watch)
    thread.start()
    started = time.process_time()
    yield result
    result["cpu_seconds"] = round(time.process_time() - started, 2)
    done.set()
    thread.join()
    result["private_mib"] = round((max(peak[0], memory_kib("RssAnon")) - private) / 1024, 1)
    result["resident_mib"] = round((memory_kib("VmHWM") - resident) / 1024, 1)


def parts_of(rows: int) -> Iterator[tuple[bool, np.ndarray]]:
    """(Whether a merge is tried before it, numbers of its documents) of each part of a store."""
    stored, tail = rows // LABELS, TAIL * UNIT
    for place, start in enumerate(range(0, stored - tail, PART)):
        yield place % STEP == 0, np.arange(start, min(start + PART, stored - tail))
    for place, start in enumerate(range(stored - tail, stored, UNIT)):
        yield place == 0, np.arange(start, start + UNIT)


def build(rows: int, folder: Path) -> dict[str, Any]:
    partition = Partition(str(folder))
    spent, written, merges = {"append": 0.0, "merge": 0.0}, 0, 0
    with watched() as peaks:
        for place, (due, documents_N) in enumerate(parts_of(rows)):
            table = made.verdicts(documents_N)
            started = time.perf_counter()
            if due and layers.merge_if_due(partition):
                merges += 1
                written += sum(file.rows for file in partition.snapshot().layers[-1])
            merged = time.perf_counter()
            partition.append(table, f"part-{place:06d}")
            spent["merge"] += merged - started
            spent["append"] += time.perf_counter() - merged
    snapshot = partition.snapshot()
    names = [file.name.split(".")[0] for layer in snapshot.layers for file in layer]
    files = [path for path in (folder / "layers").iterdir() if path.name.split(".")[0] in names]
    size = sum(path.stat().st_size for path in files)
    return {
        "append_rows_per_second": round(rows / spent["append"]),
        "merge_rows_per_second": round(written / spent["merge"]),
        "rows_written_for_each_merged": round(written / snapshot.rows_in_layers, 2),
        "merges": merges,
        "layers": len(snapshot.layers),
        "layer_files": len(names),
        "parts_not_merged": len(snapshot.parts),
        "bytes_per_verdict": round(size / snapshot.rows_in_layers, 1),
        "merge_private_mib": peaks["private_mib"],
    }


def join(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """As judging does it, unit by unit."""
    snapshot = Partition(str(folder)).snapshot()
    wanted_N = made.wanted_documents(rows, documents)
    made.candidates_of(wanted_N[:UNIT])
    spent, asked, errors, units = [], 0, 0, range(0, len(wanted_N), UNIT)
    with watched() as peaks:
        started = time.perf_counter()
        lookup = Lookup(snapshot)
        opened = time.perf_counter() - started
        for start in units:
            documents_N = wanted_N[start : start + UNIT]
            candidates = made.candidates_of(documents_N)
            started = time.perf_counter()
            known = questions.first_by_key(lookup.find({c.key[0] for c in candidates}))
            to_ask = questions.to_ask(candidates, known)
            spent.append(time.perf_counter() - started)
            asked += len(to_ask)
            errors += made.wrong(candidates, known, documents_N, rows // LABELS)
    pairs_joined, seconds = len(wanted_N) * LABELS, opened + sum(spent)
    return {
        "pairs": pairs_joined,
        "asked": asked,
        "units": len(units),
        "seconds": round(seconds, 2),
        "seconds_opening": round(opened, 3),
        "ms_per_unit": round(1000 * seconds / len(units), 2),
        "first_unit_ms": round(1000 * spent[0], 1),
        "us_per_pair": round(1e6 * seconds / pairs_joined, 2),
        **peaks,
        "wrong": errors,
    }


def plain_arrow(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """All verdicts in one Arrow table, joined at once."""
    wanted_N = made.wanted_documents(rows, documents)
    document_P, label_P, p_yes_P = made.pairs(wanted_N, SHIFT)
    wanted = pa.table(
        {
            "document": made.document_keys(document_P),
            "label": made.label_keys(label_P),
            "expected": p_yes_P,
        }
    )
    with watched() as peaks:
        started = time.perf_counter()
        table = pq.read_table(folder / "parts", use_threads=False)
        read = time.perf_counter()
        found = wanted.join(table, ["document", "label"], use_threads=False)
        ended = time.perf_counter()
    there = found["p_yes"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    equal = found["p_yes"].to_numpy()[there] == found["expected"].to_numpy()[there]
    stored = int((wanted_N < rows // LABELS).sum()) * (LABELS - SHIFT)
    return {
        "seconds": round(ended - started, 2),
        "seconds_reading": round(read - started, 2),
        **peaks,
        "wrong": int((~equal).sum()) + abs(int(there.sum()) - stored),
    }


def plain_dict(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """All verdicts in one dict, and the units looked up in it."""
    wanted_N, spent, errors = made.wanted_documents(rows, documents), 0.0, 0
    with watched() as peaks:
        started = time.perf_counter()
        known: dict[Any, Any] = {}
        for path in sorted((folder / "parts").iterdir()):
            table = pq.read_table(path, use_threads=False)
            columns = (table[name].to_pylist() for name in ("document", "label", "p_yes"))
            known |= {(document, label): p for document, label, p in zip(*columns, strict=True)}
        read = time.perf_counter() - started
        for start in range(0, len(wanted_N), UNIT):
            candidates = made.candidates_of(documents_N := wanted_N[start : start + UNIT])
            started = time.perf_counter()
            found = {c.key: {"p_yes": known[c.key]} for c in candidates if c.key in known}
            questions.to_ask(candidates, found)
            spent += time.perf_counter() - started
            errors += made.wrong(candidates, found, documents_N, rows // LABELS)
    return {
        "seconds": round(read + spent, 2),
        "seconds_reading": round(read, 2),
        **peaks,
        "wrong": errors,
    }


MEASUREMENTS = {
    "build": lambda rows, folder, _: build(rows, folder),
    "join": join,
    "plain_arrow": plain_arrow,
    "plain_dict": plain_dict,
}
