"""The verdict store measured: appending, merging, and the join of candidates with it, against
reading all verdicts. `python -m benchmarks.verdicts [--quick] [--rows N ...]` from the root.

Verdicts have generated keys, 20 labels a document, out of a vocabulary of 30,000. They are appended
in parts, and merged where a judging step begins, about each million; the last few parts stay as
they are. Half of the wanted documents are in the store, with 18 of their 20 candidates. Each
measurement has a process of its own, alone, with one thread and the files in the page cache. The
join is what a judging step does with a unit of 128 documents: Lookup.find, asks.first_by_key,
asks.to_ask. "private" is RssAnon, what a process has for itself, at its peak, less what it was
before the store was opened; "resident" is VmHWM less the same, mapped pages of files with it.
The plain ways read every part: into an Arrow table for Table.join, and into a dict.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray import asks, schemas
from lmtx_ray.asks import Candidate
from lmtx_ray.verdicts import layers
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Partition

RESULTS = Path(__file__).resolve().parent / "results"
FULL = {"rows": (1_000_000, 10_000_000), "documents": 100_000}
QUICK = {"rows": (1_000_000,), "documents": 20_000}
PLAIN_ROWS = 20_000_000  # of more than these the plain ways are not tried
LABELS, VOCABULARY, SHIFT = 20, 30_000, 2
UNIT = 128  # documents
PART, STEP = 512, 100  # documents of a part, parts between two merges
TAIL = 32  # parts of a unit each that are not merged
LIMIT_MIB, LIMIT_SHARE, LIMIT_GROWTH, JUDGEMENTS = 500, 0.05, 1.3, 1000
UNITS_NAMED = {"GB": 1 << 30}


def mix(numbers_N: np.ndarray, salt: int) -> np.ndarray:
    """Random-looking uint64 for numbers (splitmix64)."""
    x = (numbers_N.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keys(numbers_N: np.ndarray, salt: int) -> pa.Array:
    words = np.stack([mix(numbers_N, salt), mix(numbers_N, salt + 1)], axis=1)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(words))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(numbers_N), buffers)


def document_keys(numbers_N: np.ndarray) -> pa.Array:
    return keys(numbers_N, 1 << 40)


def pairs(documents_N: np.ndarray, shift: int = 0) -> tuple[np.ndarray, ...]:
    """Of LABELS pairs a document: document numbers, label numbers, P(yes)."""
    document_P = np.repeat(documents_N.astype(np.int64), LABELS)
    place_P = np.tile(np.arange(shift, shift + LABELS), len(documents_N))
    label_P = (document_P * 7919 + place_P * 1009) % VOCABULARY
    p_yes_P = (mix(document_P * VOCABULARY + label_P, 3) >> np.uint64(40)) / np.float32(1 << 24)
    return document_P, label_P, p_yes_P.astype(np.float32)


def verdicts(documents_N: np.ndarray) -> pa.Table:
    """STORED_VERDICTS on some documents."""
    document_P, label_P, p_yes_P = pairs(documents_N)
    rows = len(document_P)
    same = {"prompt": "0123456789ab", "teacher": "ba9876543210", "source": "judge-1"}
    columns = {
        "document": document_keys(document_P), "label": keys(label_P, 1 << 50),
        "answer": pa.array(np.where(p_yes_P > 0.5, "yes", "no")), "p_yes": p_yes_P,
        "mass": (1 - p_yes_P / 10).astype(np.float32), "raw": pa.nulls(rows, pa.string()),
        **{name: pa.repeat(text, rows) for name, text in same.items()},
    }  # fmt: skip
    return schemas.conform(pa.table(columns), schemas.STORED_VERDICTS)


def wanted_documents(rows: int, count: int) -> np.ndarray:
    """Numbers of the documents to judge: one in the store, one not, and so on."""
    stored = rows // LABELS
    inside = np.arange(count // 2) * (stored // (count // 2))
    return np.stack([inside, stored + np.arange(count // 2)], axis=1).ravel()


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
    yield result
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
            table = verdicts(documents_N)
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
    return {
        "append_rows_per_second": round(rows / spent["append"]),
        "merge_rows_per_second": round(written / spent["merge"]),
        "rows_written_for_each_merged": round(written / snapshot.rows_in_layers, 2),
        "merges": merges, "layers": len(snapshot.layers), "layer_files": len(names),
        "parts_not_merged": len(snapshot.parts),
        "bytes_per_verdict": round(sum(p.stat().st_size for p in files) / snapshot.rows_in_layers, 1),
        "merge_private_mib": peaks["private_mib"],
    }  # fmt: skip


def candidates_of(documents_N: np.ndarray) -> list[Candidate]:
    document_P, label_P, _ = pairs(documents_N, SHIFT)
    columns = (document_P.tolist(), label_P.tolist(), document_keys(document_P).to_pylist(),
               keys(label_P, 1 << 50).to_pylist())  # fmt: skip
    return [
        Candidate(f"d{number}", label, place % LABELS, "train", key := (document, seen), key, "")
        for place, (number, label, document, seen) in enumerate(zip(*columns, strict=True))
    ]


def wrong(candidates: list[Candidate], found: dict[Any, Any], documents_N: np.ndarray,
          stored: int) -> int:  # fmt: skip
    """How many candidates were found and not stored, or the other way round, or found with another
    number. Of a stored document all but the last SHIFT candidates are stored."""
    p_yes = pairs(documents_N, SHIFT)[2].tolist()
    is_stored = [
        number < stored and place < LABELS - SHIFT
        for number in documents_N.tolist() for place in range(LABELS)
    ]  # fmt: skip
    expected = [p if there else None for p, there in zip(p_yes, is_stored, strict=True)]
    got = [found[c.key]["p_yes"] if c.key in found else None for c in candidates]
    return sum(a != b for a, b in zip(got, expected, strict=True))


def join(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """As judging does it, unit by unit."""
    snapshot = Partition(str(folder)).snapshot()
    wanted_N = wanted_documents(rows, documents)
    candidates_of(wanted_N[:UNIT])
    spent, asked, errors, units = [], 0, 0, range(0, len(wanted_N), UNIT)
    with watched() as peaks:
        started = time.perf_counter()
        lookup = Lookup(snapshot)
        opened = time.perf_counter() - started
        for start in units:
            documents_N = wanted_N[start : start + UNIT]
            candidates = candidates_of(documents_N)
            started = time.perf_counter()
            known = asks.first_by_key(lookup.find({c.key[0] for c in candidates}))
            to_ask = asks.to_ask(candidates, known)
            spent.append(time.perf_counter() - started)
            asked += len(to_ask)
            errors += wrong(candidates, known, documents_N, rows // LABELS)
    pairs_joined, seconds = len(wanted_N) * LABELS, opened + sum(spent)
    return {
        "pairs": pairs_joined, "asked": asked, "units": len(units), "seconds": round(seconds, 2),
        "seconds_opening": round(opened, 3), "ms_per_unit": round(1000 * seconds / len(units), 2),
        "first_unit_ms": round(1000 * spent[0], 1),
        "us_per_pair": round(1e6 * seconds / pairs_joined, 2), **peaks, "wrong": errors,
    }  # fmt: skip


def plain_arrow(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """All verdicts in one Arrow table, joined at once."""
    document_P, label_P, p_yes_P = pairs(wanted_N := wanted_documents(rows, documents), SHIFT)
    wanted = pa.table({"document": document_keys(document_P), "label": keys(label_P, 1 << 50),
                       "expected": p_yes_P})  # fmt: skip
    with watched() as peaks:
        started = time.perf_counter()
        table = pq.read_table(folder / "parts", use_threads=False)
        read = time.perf_counter()
        found = wanted.join(table, ["document", "label"], use_threads=False)
        ended = time.perf_counter()
    there = found["p_yes"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    equal = found["p_yes"].to_numpy()[there] == found["expected"].to_numpy()[there]
    stored = int((wanted_N < rows // LABELS).sum()) * (LABELS - SHIFT)
    return {"seconds": round(ended - started, 2), "seconds_reading": round(read - started, 2),
            **peaks, "wrong": int((~equal).sum()) + abs(int(there.sum()) - stored)}  # fmt: skip


def plain_dict(rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """All verdicts in one dict, and the units looked up in it."""
    wanted_N, spent, errors = wanted_documents(rows, documents), 0.0, 0
    with watched() as peaks:
        started = time.perf_counter()
        known: dict[Any, Any] = {}
        for path in sorted((folder / "parts").iterdir()):
            table = pq.read_table(path, use_threads=False)
            columns = (table[name].to_pylist() for name in ("document", "label", "p_yes"))
            known |= {(document, label): p for document, label, p in zip(*columns, strict=True)}
        read = time.perf_counter() - started
        for start in range(0, len(wanted_N), UNIT):
            candidates = candidates_of(documents_N := wanted_N[start : start + UNIT])
            started = time.perf_counter()
            found = {c.key: {"p_yes": known[c.key]} for c in candidates if c.key in known}
            asks.to_ask(candidates, found)
            spent += time.perf_counter() - started
            errors += wrong(candidates, found, documents_N, rows // LABELS)
    return {"seconds": round(read + spent, 2), "seconds_reading": round(read, 2), **peaks,
            "wrong": errors}  # fmt: skip


MEASUREMENTS = {"build": lambda rows, folder, _: build(rows, folder), "join": join,
                "plain_arrow": plain_arrow, "plain_dict": plain_dict}  # fmt: skip


def alone(name: str, rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.verdicts", "--only", name, "--rows", str(rows),
               "--documents", str(documents), "--folder", str(folder)]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"{rows} {name}", result, file=sys.stderr, flush=True)
    return result


def measure(rows: int, folder: Path, documents: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in MEASUREMENTS:
        if rows <= PLAIN_ROWS or not name.startswith("plain"):
            yield name, alone(name, rows, folder, documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only")
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    print(json.dumps(MEASUREMENTS[arguments.only](arguments.rows[0], arguments.folder, arguments.documents)))

if __name__ == "__main__":
    main()
