"""How time and memory grow with documents and labels: `lmtx run` with one cycle, then `lmtx tag`.

Texts are generated, the encoder is the tests' tiny one and the judge the rule, so that everything
around the models is measured. `python -m benchmarks.scale [--quick]` from the repository's root.
`driver` and `worker` are private memory (RssAnon) of the process of the command and of the largest
of Ray's workers; `object_store` is what they have mapped of shared memory. Training takes so many
steps whatever the corpus, so its seconds are not among those of a document.

A million documents take an hour or two on two cores. With `--keep FOLDER` a benchmark that is ended
by Ctrl-C or SIGTERM goes on where it was when it is started again; seconds are those of all its
starts, and memory the most of any.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import Peaks, watched
from lmtx_ray.io.accounts import FOLDER, read_accounts
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
    """Words of a Zipf-like law. Of letters alone: the tiny encoder knows no digit, and to it all
    words that have one are the same."""
    return " ".join(letters(int(VOCABULARY ** draw.random())) for _ in range(count))


def letters(number: int) -> str:
    """A number as a word: 1 to 26 are ax to zx, then aax follows. Its end makes it no plural and no
    stop word."""
    word = "x"
    while number:
        number, place = divmod(number - 1, 26)
        word = chr(ord("a") + place) + word
    return word


def write_documents(path: Path, count: int) -> None:
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"uid": f"d{number}", "title": words(draw, 5), "content": words(draw, WORDS)}
            file.write(json.dumps(row) + "\n")


def write_labels(path: Path, count: int) -> None:
    draw = random.Random(2)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"uid": f"L{number}", "title": words(draw, 2)}
            file.write(json.dumps(row) + "\n")


def config_of(
    folder: Path, documents: int, encoder: str, data: dict[str, str], unit: int | None
) -> Path:
    """A run over all documents on all cores, with a fixed number of training steps."""
    config = {
        "run": str(folder / "run"),
        "unit_documents": unit or max(128, documents // 1000),
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


def lmtx(sittings: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One command, perhaps begun before: its JSON line, and what it took in all its starts. How
    each start ended is a line of the file `sittings`."""
    own = {"command": arguments[0], "seconds": 0.0, "ended": False}
    started = time.monotonic()
    peaks = Peaks()
    try:
        done = watched([sys.executable, "-m", "lmtx_ray.cli", *arguments], peaks)
        own["ended"] = not done.returncode
    finally:
        own |= {"seconds": time.monotonic() - started, **in_mib(peaks)}
        with sittings.open("a") as file:
            file.write(json.dumps(own) + "\n")
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: lmtx {' '.join(arguments)}")
    return json.loads(done.stdout.splitlines()[-1]), together(sittings, arguments[0])


def in_mib(peaks: Peaks) -> dict[str, int]:
    sizes = {"driver": peaks.driver, "worker": peaks.worker, "object_store": peaks.shared}
    return {f"{name}_mib": round(size / MIB) for name, size in sizes.items()}


def together(sittings: Path, command: str) -> dict[str, Any]:
    """The seconds of all starts of a command, and the most memory of any."""
    lines = map(json.loads, sittings.read_text().splitlines())
    own = [line for line in lines if line["command"] == command]
    most = {name: max(line[name] for line in own) for name in own[0] if name.endswith("_mib")}
    return {"seconds": round(sum(line["seconds"] for line in own), 1), "starts": len(own), **most}


def corpus(folder: Path, documents: int, labels: int) -> dict[str, str]:
    """The files of a corpus, made where they are not there yet."""
    made = {
        "documents": (folder / "documents.jsonl", write_documents, documents),
        "labels": (folder / "labels.jsonl", write_labels, labels),
    }
    for path, write, count in made.values():
        if not path.exists():
            begun = path.with_suffix(".begun")
            write(begun, count)
            begun.rename(path)
    return {name: str(path) for name, (path, _, _) in made.items()}


def measure(
    folder: Path, documents: int, labels: int, encoder: str, head: dict[str, Any]
) -> dict[str, Any]:
    """A run, or its steps up to `until`, and where it has a bundle tagging the same documents."""
    until, unit = head["until"], head["unit_documents"]
    folder.mkdir(exist_ok=True)
    data, sittings = corpus(folder, documents, labels), folder / "sittings.jsonl"
    config = str(config_of(folder, documents, encoder, data, unit))
    options = ["--until", until] if until else []
    summary, took = lmtx(sittings, "run", config, *options)
    spent = read_accounts(str(folder / "run" / FOLDER))
    steps = {name: round(spent[name]["wall_seconds"], 1) for name in summary["seconds"]}
    each = 1000 * (took["seconds"] - steps.get("fit 1", 0.0)) / documents
    measured = {"run": {**took, "steps": steps, "per_document_ms": round(each, 3)}}
    bundle = summary.get("bundle") or summary.get("outputs", {}).get("bundle")
    if bundle:
        tagging = ["--bundle", bundle, "--input", data["documents"], "--actors", "2"]
        tagged, took = lmtx(sittings, "tag", *tagging, "--output", str(folder / "tags"))
        each = 1000 * took["seconds"] / tagged["documents"]
        measured["tag"] = {**took, "per_document_ms": round(each, 3)}
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
    parser.add_argument("--unit-documents", type=int, help="of a unit, whatever the corpus")
    parser.add_argument("--folder", type=Path, help="where to make corpora and runs, for a while")
    parser.add_argument("--keep", type=Path, help="the same, to go on with after an interruption")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    every = itertools.product(arguments.documents, arguments.labels)
    sizes = QUICK if arguments.quick else sorted(every, key=lambda pair: pair[0] * pair[1])
    name = (
        f"{'-quick' if arguments.quick else ''}{'-' + arguments.until if arguments.until else ''}"
    )
    path = RESULTS / f"scale-{datetime.date.today().isoformat()}{name}.json"
    RESULTS.mkdir(exist_ok=True)
    head = {"cpus": usable_cores(), "machine": platform.machine(), "until": arguments.until}
    head["unit_documents"] = arguments.unit_documents
    with ExitStack() as stack:
        if arguments.keep:
            folder = arguments.keep
            folder.mkdir(parents=True, exist_ok=True)
        else:
            made = tempfile.TemporaryDirectory(prefix="lmtx-bench-", dir=arguments.folder)
            folder = Path(stack.enter_context(made))
        print(json.dumps(measure_all(folder, sizes, head, path)))


def measure_all(
    folder: Path, sizes: Sequence[tuple[int, int]], head: dict[str, Any], path: Path
) -> dict[str, Any]:
    """All sizes in folders of their own; what is measured is kept at `path` after each."""
    results: dict[str, Any] = {}
    result: dict[str, Any] = {}
    encoder = str(folder / "encoder")
    if not Path(encoder, "modules.json").exists():
        encoder = save_encoder(folder)
    for documents, labels in sizes:
        own, done = (folder / f"{documents}-{labels}{end}" for end in ("", ".json"))
        if not done.exists():
            found = measure(own, documents, labels, encoder, head)
            done.write_text(json.dumps(found))
            shutil.rmtree(own)
        results[f"{documents} x {labels}"] = json.loads(done.read_text())
        result = {**head, "results": results, "asked": asked(results)}
        path.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    main()
