"""How long it takes to edit the labels of a large bundle, by the command that people use.

    python -m benchmarks.label_edits [--quick] [--labels N] [--changes N] [--output FILE]

A bundle of made-up labels with the packaged encoder and random unit vectors is brought to a whole
file in which a third each of the changes are labels added, updated and removed, to one in which
nothing differs, and changed by a file for each of the verbs. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.index_memory import unit_vectors
from benchmarks.label_search import made_labels
from benchmarks.plain_bundle import publish_labels
from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.search.shard_file import shard_name, write_shard

DIMENSIONS, SHARDS = 384, 8
MOST_SECONDS = 60.0
RESULTS = Path(__file__).resolve().parent / "results"
ROOT = Path(__file__).resolve().parents[1]


def save_vectors(folder: Path, labels: int) -> None:
    """Shards of random unit vectors."""
    for number, part in enumerate(np.array_split(np.arange(labels), SHARDS)):
        shape = len(part), DIMENSIONS
        write_shard(folder / shard_name(number), unit_vectors(*shape, number), shape)


def publish(folder: Path, labels: pa.Table) -> str:
    """A bundle of these labels."""
    return publish_labels(folder, "made", labels, lambda index: save_vectors(index, len(labels)))


def write_rows(path: Path, rows: Sequence[tuple[str, ...]]) -> str:
    """A CSV with as many columns of key and text as the rows have."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("key", "text")[: len(rows[0])], *rows])
    return str(path)


def changes(labels: pa.Table, folder: Path, count: int) -> dict[str, str]:
    """Files for `labels add`, `update` and `remove`, of `count` rows together; and as `whole` and
    `same` all labels, after these changes and before."""
    draw, each = random.Random(1), count // 3
    places = draw.sample(range(len(labels)), count - each)
    keys, texts = labels["label_key"].to_pylist(), labels["text"].to_pylist()
    added = [(f"N{n}", f"{texts[draw.randrange(len(texts))]} anew") for n in range(each)]
    updated = {place: f"{texts[place]} renamed" for place in places[:each]}
    gone = set(places[each:])
    rows: dict[str, Any] = {
        "add": added,
        "update": [(keys[place], text) for place, text in updated.items()],
        "remove": [(keys[place],) for place in gone],
        "same": list(zip(keys, texts, strict=True)),
        "whole": [
            *((k, updated.get(n, texts[n])) for n, k in enumerate(keys) if n not in gone),
            *added,
        ],
    }
    return {kind: write_rows(folder / f"{kind}.csv", own) for kind, own in rows.items()}


def edit(*arguments: str) -> dict[str, Any]:
    """`lmtx labels …` in a process of its own: what it says, and seconds from start to end, on the
    clock and of the processor."""
    command = [sys.executable, "-m", "lmtx_ray.cli", "labels", *arguments]
    started, before = time.monotonic(), children_seconds()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(done.stderr)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    spent = round(children_seconds() - before, 1)
    return {**said, "seconds": round(time.monotonic() - started, 1), "cpu_seconds": spent}


def children_seconds() -> float:
    """Seconds of the processor that ended processes of this one have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def new_bytes(before: str, after: str) -> int:
    """Bytes of a bundle's files that are not those of the one before."""
    old = {file.sha256 for file in published_bundle(before).files.values()}
    new = published_bundle(after)
    return sum(new.size(name) for name, file in new.files.items() if file.sha256 not in old)


def asked(what: str, value: float, wanted: float) -> dict[str, Any]:
    return {"what": what, "value": value, "wanted": wanted, "met": value <= wanted}


def run(count: int, changed: int, folder: Path) -> dict[str, Any]:
    labels = made_labels(count, random.Random(7))
    started = time.monotonic()
    bundle = publish(folder / f"bundle-{count}", labels)
    built = round(time.monotonic() - started, 1)
    files = changes(labels, folder, changed)
    same = edit("update", bundle, "--to", files["same"])
    assert same["unchanged"] == count
    steps = {}
    for kind in ("add", "update", "remove", "whole"):
        output = free_place(folder / f"{kind}-{count}")
        given = ["update", "--to", files[kind]] if kind == "whole" else [kind]
        more = [] if kind == "whole" else [files[kind]]
        steps[kind] = edit(*given, bundle, *more, output)
        steps[kind]["new_mib"] = round(new_bytes(bundle, output) / 2**20, 1)
    whole = steps["whole"]
    assert whole["added"] + whole["changed"] + whole["removed"] == changed
    size = sum(published_bundle(bundle).size(name) for name in published_bundle(bundle).files)
    return {
        "labels": count,
        "changes": changed,
        "bundle_mib": round(size / 2**20, 1),
        "built_seconds": built,
        "edits": steps,
        "same_again": same,
        "asked": [
            asked(f"seconds of {changed} changes in one edit", whole["seconds"], MOST_SECONDS),
            asked("seconds to re-import labels unchanged", same["seconds"], MOST_SECONDS),
        ],
    }


def free_place(folder: Path) -> str:
    """A place for a bundle, where one of an earlier run may lie."""
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="a fifth of the labels")
    parser.add_argument("--output", type=Path, help="write the result there")
    parser.add_argument("--work", type=Path, help="keep the bundle that is edited there")
    arguments = parser.parse_args()
    labels = arguments.labels // (5 if arguments.quick else 1)
    with tempfile.TemporaryDirectory() as temporary:
        result = run(labels, arguments.changes, arguments.work or Path(temporary))
    kind = "-quick" if arguments.quick else ""
    named = RESULTS / f"label_edits-{datetime.date.today().isoformat()}{kind}.json"
    (arguments.output or named).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
