"""How long it takes to edit the labels of a large bundle, by the command that people use.

    python -m benchmarks.label_edits [--quick] [--labels N] [--changes N] [--output FILE]

A bundle of made-up labels with the packaged encoder's configuration and random unit vectors is
changed by files (a third each of labels added, updated and removed), and brought
to a whole file in which nothing differs. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.index_memory import unit_vectors
from benchmarks.label_search import made_labels
from benchmarks.plain_bundle import ENCODER, FUSION
from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.bundle.folder import BundleParts, write_bundle
from lmtx_ray.config.components import resolve_model
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.io.publish import Dataset
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
    parts = BundleParts(
        "made",
        resolve_model("minilm"),
        ENCODER,
        lambda index: save_vectors(index, len(labels)),
        labels,
        depth=100,
        fusion=FUSION,
        calibration=Calibration(("score",), (10.0,), (0.0,), (1.0,), -3.0),
    )
    step = Dataset(str(folder), "made")
    step.publish_folder(lambda local: write_bundle(parts, local))
    return step.uri


def write_rows(path: Path, rows: Iterator[tuple[str, ...]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def changes(labels: pa.Table, folder: Path, count: int, seed: int) -> dict[str, str]:
    """Files for `labels add`, `update` and `remove`, of `count` rows together."""
    draw, each = random.Random(seed), count // 3
    places = draw.sample(range(len(labels)), 2 * each + count % 3)
    keys, texts = labels["label_key"].to_pylist(), labels["text"].to_pylist()
    added = [(f"N{seed}-{n}", f"{texts[draw.randrange(len(texts))]} anew") for n in range(each)]
    updated = [(keys[place], f"{texts[place]} renamed") for place in places[:each]]
    head = ("key", "text")
    files = {"add": added, "update": updated, "remove": [(keys[p],) for p in places[each:]]}
    return {
        kind: write_rows(folder / f"{kind}-{seed}.csv", iter([head[: len(rows[0])], *rows]))
        for kind, rows in files.items()
    }


def edit(*arguments: str) -> dict[str, Any]:
    """`lmtx labels …` in a process of its own: what it says, and seconds from start to end."""
    command = [sys.executable, "-m", "lmtx_ray.cli", "labels", *arguments]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(done.stderr)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**said, "seconds": round(time.monotonic() - started, 1)}


def new_bytes(before: str, after: str) -> int:
    """Bytes of a bundle's files that are not those of the one before."""
    old = {file.sha256 for file in published_bundle(before).files.values()}
    new = published_bundle(after)
    return sum(new.size(name) for name, file in new.files.items() if file.sha256 not in old)


def asked(what: str, value: float, wanted: float) -> dict[str, Any]:
    return {"what": what, "value": value, "wanted": wanted, "met": value <= wanted}


def run(count: int, changed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = made_labels(count, random.Random(7))
        started = time.monotonic()
        bundle = publish(folder / "bundle", labels)
        built = round(time.monotonic() - started, 1)
        rows = zip(labels["label_key"].to_pylist(), labels["text"].to_pylist(), strict=True)
        whole = write_rows(folder / "labels.csv", iter([("key", "text"), *rows]))
        same = edit("update", bundle, "--to", whole)
        assert same["unchanged"] == count
        steps = {}
        one = changes(labels, folder, changed, 1)
        before = bundle
        for kind, file in one.items():
            steps[kind] = edit(kind, before, file, str(folder / kind))
            steps[kind]["new_mib"] = round(new_bytes(before, steps[kind]["bundle"]) / 2**20, 1)
            before = steps[kind]["bundle"]
        size = sum(published_bundle(before).size(name) for name in published_bundle(before).files)
        return {
            "labels": count,
            "changes": changed,
            "bundle_mib": round(size / 2**20, 1),
            "built_seconds": built,
            "edits": steps,
            "same_again": same,
            "asked": [
                asked(
                    f"seconds to add, update and remove {changed} labels, one after the other",
                    round(sum(step["seconds"] for step in steps.values()), 1),
                    MOST_SECONDS,
                ),
                asked("seconds to re-import labels unchanged", same["seconds"], MOST_SECONDS),
            ],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="a fifth of the labels")
    parser.add_argument("--output", type=Path, help="write the result there")
    arguments = parser.parse_args()
    result = run(arguments.labels // (5 if arguments.quick else 1), arguments.changes)
    kind = "-quick" if arguments.quick else ""
    named = RESULTS / f"label_edits-{datetime.date.today().isoformat()}{kind}.json"
    (arguments.output or named).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
