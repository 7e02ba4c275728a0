"""How long it takes to look for what is odd in a large label set, by the command that people use.

    python -m benchmarks.label_check [--quick] [--labels N] [--output FILE]

Made-up labels lie as plain CSV, which is read by columns, as JSON lines, which are read row by row,
and as Parquet with tags of made-up documents. Each is checked by `lmtx labels check` in a process
of its own. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.label_search import made_labels

LABELS, QUICK = 1_000_000, 100_000
MOST_SECONDS = 60.0
TAGS = 5  # of a made-up document
RESULTS = Path(__file__).resolve().parent / "results"
ROOT = Path(__file__).resolve().parents[1]


def write_labels(folder: Path, labels: pa.Table) -> dict[str, list[str]]:
    """What is checked -> arguments of the verb."""
    draw, keys = random.Random(3), labels["label_key"].to_pylist()
    plain = labels.select(["label_key", "text"])
    pacsv.write_csv(plain, folder / "l.csv", pacsv.WriteOptions(quoting_style="none"))
    with (folder / "l.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in plain.to_pylist())
    pq.write_table(labels, folder / "l.parquet")
    tagged = [draw.choices(keys, k=TAGS) for _ in range(len(keys) // 2)]
    ids = [f"d{number}" for number in range(len(tagged))]
    pq.write_table(pa.table({"doc_id": ids, "label_keys": tagged}), folder / "tags.parquet")
    return {
        "CSV": [str(folder / "l.csv")],
        "JSON lines": [str(folder / "l.jsonl")],
        "Parquet, with tags": [
            *(str(folder / "l.parquet"), "--tags", str(folder / "tags.parquet")),
            *("--output", str(folder / "found.csv")),
        ],
    }


def check(arguments: list[str]) -> dict[str, Any]:
    """`lmtx labels check …`: what it found, and seconds on the clock and of the processor, and the
    memory of its process at most."""
    command = [sys.executable, "-m", "lmtx_ray.cli", "labels", "check", *arguments]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=errors)
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        seconds = time.monotonic() - started
        said.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(errors.read())
        found = json.loads(said.read().splitlines()[-1])
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_gib": round(used.ru_maxrss / 2**20, 2),
        "findings": found["findings"],
    }


def run(count: int, folder: Path) -> dict[str, Any]:
    """Seconds and memory of each kind of file, and what was asked of them."""
    files = write_labels(folder, made_labels(count, random.Random(7)))
    found = {kind: check(arguments) for kind, arguments in files.items()}
    asked = [
        {
            "what": f"seconds to check {count:,} labels, {kind}",
            "value": one["seconds"],
            "wanted": f"< {MOST_SECONDS:g}",
            "met": one["seconds"] < MOST_SECONDS,
        }
        for kind, one in found.items()
    ]
    return {"labels": count, "checks": found, "asked": asked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} labels")
    parser.add_argument("--output", type=Path, help="write the result there")
    parser.add_argument("--note", default="", help="kept with the result, such as what else ran")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        labels = QUICK if arguments.quick else arguments.labels
        result = {"note": arguments.note, **run(labels, Path(folder))}
    kind = "-quick" if arguments.quick else ""
    named = RESULTS / f"label_check-{datetime.date.today().isoformat()}{kind}.json"
    (arguments.output or named).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
