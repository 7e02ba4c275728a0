"""How time and memory grow with documents and labels: `lmtx run` with one cycle, then `lmtx tag`.

Texts are generated, the encoder is the tests' tiny one and the judge the rule, so that everything
around the models is measured. `python -m benchmarks.scale [--quick]` from the repository's root.
`driver` and `worker` are private memory (RssAnon) of the process of the command and of the largest
of Ray's workers; `object_store` is what they have mapped of shared memory. Training takes so many
steps whatever the corpus, so its seconds are not among those of a document.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import Peaks, watched
from lmtx_ray.io.cores import usable_cores
from tests.tiny import save_encoder

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = (10_000, 100_000, 1_000_000)
QUICK = ((1_000, 1_000), (4_000, 1_000))
MIB = 2**20
GIB = 2**30
MOST_DRIVER = 1.5 * GIB
FLAT = 1.3
WORDS = 40  # of a document
VOCABULARY = 20_000
STEPS = 200  # of training, on 512 documents each


def words(draw: random.Random, count: int) -> str:
    """Words of a Zipf-like law, as letters only."""
    return " ".join(f"w{int(VOCABULARY ** draw.random())}" for _ in range(count))


def write_documents(path: Path, count: int) -> str:
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"uid": f"d{number}", "title": words(draw, 5), "content": words(draw, WORDS)}
            file.write(json.dumps(row) + "\n")
    return str(path)


def write_labels(path: Path, count: int) -> str:
    draw = random.Random(2)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"uid": f"L{number}", "title": words(draw, 2)}
            file.write(json.dumps(row) + "\n")
    return str(path)


def config_of(folder: Path, documents: int, encoder: str, data: dict[str, str]) -> Path:
    """A run over all documents on all cores, with a fixed number of training steps."""
    config = {
        "run": str(folder / "run"),
        "unit_documents": max(128, documents // 1000),
        "corpus": {**data, "documents": [data["documents"]], "held_aside": 100},
        "encoder": {"model": encoder, "dtype": "float32", "threads": 1},
        "judge": {
            "teacher": {"kind": "lexical", "prompt": "tag"},
            "top_k": 2,
            "select_k": 1,
            "check": False,
        },
        "pseudo_labels": {"negatives": 1, "max_positives": 1},
        "fit": {"steps": STEPS, "batch_size": 512, "threads": 1, "dtype": "float32"},
        "cycles": {"most": 1},
        "shortlist": {"depth": 10},
        "resources": {"embed": {"actors": usable_cores()}, "judge": {"actors": None}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def lmtx(*arguments: str) -> tuple[dict[str, Any], Peaks, float]:
    """One command: its JSON line, its memory, its seconds."""
    started = time.monotonic()
    done, peaks = watched([sys.executable, "-m", "lmtx_ray.cli", *arguments])
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: lmtx {' '.join(arguments)}")
    return json.loads(done.stdout.splitlines()[-1]), peaks, time.monotonic() - started


def in_mib(peaks: Peaks) -> dict[str, int]:
    sizes = {"driver": peaks.driver, "worker": peaks.worker, "object_store": peaks.shared}
    return {f"{name}_mib": round(size / MIB) for name, size in sizes.items()}


def measure(folder: Path, documents: int, labels: int, encoder: str, until: str) -> dict[str, Any]:
    """A run, or its steps up to `until`, and where it has a bundle tagging the same documents."""
    data = {
        "documents": write_documents(folder / "documents.jsonl", documents),
        "labels": write_labels(folder / "labels.jsonl", labels),
    }
    config = str(config_of(folder, documents, encoder, data))
    options = ["--until", until] if until else []
    summary, peaks, took = lmtx("run", config, *options)
    training = summary["seconds"].get("fit 1", 0.0)
    measured = {
        "run": {
            "seconds": round(took, 1),
            "steps": summary["seconds"],
            "per_document_ms": round(1000 * (took - training) / documents, 3),
            **in_mib(peaks),
        }
    }
    bundle = summary.get("bundle") or summary.get("outputs", {}).get("bundle")
    if bundle:
        tagging = ["--bundle", bundle, "--input", data["documents"], "--actors", "2"]
        tagged, peaks, took = lmtx("tag", *tagging, "--output", str(folder / "tags"))
        measured["tag"] = {
            "seconds": round(took, 1),
            "per_document_ms": round(1000 * took / tagged["documents"], 3),
            **in_mib(peaks),
        }
    return measured


def figure(what: str, value: float, limit: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "wanted": f"<= {limit}", "met": value <= limit}


def asked(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The driver's memory, and what grows from each number of documents to the next with the same
    labels."""
    found = []
    for name, result in results.items():
        for command, part in result.items():
            what = f"{command}, {name}: driver, GiB"
            found.append(figure(what, part["driver_mib"] * MIB / GIB, MOST_DRIVER / GIB))
    by_labels: dict[str, list[str]] = {}
    for name in results:
        by_labels.setdefault(name.split(" x ")[1], []).append(name)
    for names in by_labels.values():
        for less, more in itertools.pairwise(names):
            for command in results[less].keys() & results[more].keys():
                old, new = results[less][command], results[more][command]
                for field in ("driver_mib", "worker_mib", "per_document_ms"):
                    what = f"{command}, {more} over {less}: {field}"
                    found.append(figure(what, new[field] / max(old[field], 1e-9), FLAT))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 4,000 documents and labels")
    parser.add_argument("--documents", type=int, nargs="+", default=SIZES)
    parser.add_argument("--labels", type=int, nargs="+", default=SIZES)
    parser.add_argument("--until", default="", help="a step of the run to stop after")
    parser.add_argument("--folder", type=Path, help="where to make corpora and runs, for a while")
    arguments = parser.parse_args()
    sizes = itertools.product(arguments.documents, arguments.labels)
    sizes = QUICK if arguments.quick else sorted(sizes, key=lambda pair: pair[0] * pair[1])
    name = (
        f"{'-quick' if arguments.quick else ''}{'-' + arguments.until if arguments.until else ''}"
    )
    path = RESULTS / f"scale-{datetime.date.today().isoformat()}{name}.json"
    RESULTS.mkdir(exist_ok=True)
    results: dict[str, Any] = {}
    head = {"cpus": usable_cores(), "machine": platform.machine(), "until": arguments.until}
    with tempfile.TemporaryDirectory(prefix="lmtx-bench-", dir=arguments.folder) as folder:
        encoder = save_encoder(Path(folder))
        for documents, labels in sizes:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                size = f"{documents} x {labels}"
                results[size] = measure(Path(own), documents, labels, encoder, arguments.until)
            result = {**head, "results": results, "asked": asked(results)}
            path.write_text(json.dumps(result, indent=1) + "\n")  # what is measured is kept
    print(json.dumps(result))


if __name__ == "__main__":
    main()
