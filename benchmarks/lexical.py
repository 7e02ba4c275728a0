"""The lexical side: how fast at a million labels, and what it finds beside the encoder.

    python -m benchmarks.lexical [--quick] [--labels N] [--data FOLDER] [--only speed|sets]

Speed: made labels of two to five words by a law like Zipf's, documents of 150 such words. The index
is built and saved by one process, then mapped and searched by two, half of the documents each.
Speed counts time of the processor, the least of three passes for each 256 documents: what else the
machine does adds to all, and to the clock more.
Memory is the resident set of a process, mapped pages included. Sets: P@1 and recall of the
untouched encoder, of words, and of both fused by default and by other constants, on the sets of
`benchmarks/quality_sets.py` (`benchmarks/lexical_sets.py`). With --quick few documents, and of
large label sets the gold labels and a sample: minutes on two cores. One line of JSON last.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lexical_sets import CUTS, DEPTH, FULL, FUSED, QUICK, Found, by_halves, look, told
from benchmarks.quality_sets import SETS
from lmtx_ray.search.lexical import LexicalIndex

RESULTS = Path(__file__).resolve().parent / "results"
LABELS, DOCUMENTS, PASSES = 1_000_000, 1024, 3
VOCABULARY, WORDS = 200_000, 150
BLOCK = 256
LIMITS = (
    ("build, seconds", "build_clock_seconds", "<", 60.0),
    ("documents a second on 2 cores", "documents_a_second_by_the_clock", ">=", 500.0),
    ("memory of a searching process, GiB", "search_gib", "<", 2.0),
)
SYLLABLES = "ba be bi co da de fe ga la lo ma mi na no pa ri sa so ta ti va zu".split()


def made_words(draw: np.random.Generator) -> list[str]:
    """The most frequent one first."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        lengths = draw.integers(2, 6, VOCABULARY)
        drawn = iter(draw.integers(0, len(SYLLABLES), lengths.sum()).tolist())
        words |= {
            "".join(SYLLABLES[next(drawn)] for _ in range(length)): None for length in lengths
        }
    return list(words)[:VOCABULARY]


def texts(words: list[str], lengths: np.ndarray, draw: np.random.Generator) -> Iterator[str]:
    """A text of so many words for each length, word r as often as 1 / (r + 10) says."""
    ends = np.cumsum(1.0 / np.arange(10, VOCABULARY + 10))
    for start in range(0, len(lengths), 10_000):
        part = lengths[start : start + 10_000]
        drawn = iter(np.searchsorted(ends, draw.random(part.sum()) * ends[-1]).tolist())
        for length in part.tolist():
            yield " ".join(words[next(drawn)] for _ in range(length))


def made_labels(count: int) -> Iterator[str]:
    draw = np.random.default_rng(7)
    return texts(made_words(draw), draw.integers(2, 6, count), draw)


def made_documents(count: int, seed: int) -> list[str]:
    words = made_words(np.random.default_rng(7))
    draw = np.random.default_rng(seed)
    return list(texts(words, np.full(count, WORDS), draw))


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def build(folder: str, labels: int) -> dict[str, float]:
    """One process: the texts first, as their making is not measured, then the index."""
    made = list(made_labels(labels))
    began, spent = time.perf_counter(), time.process_time()
    LexicalIndex.build(made).save(folder)
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    return {"build_clock_seconds": seconds, "build_cpu_seconds": cpu, "build_gib": peak_gib()}


def search(folder: str, documents: int, seed: int) -> dict[str, float]:
    """One process: begins when it is told to, by a line on its input."""
    asked = made_documents(documents, seed)
    before = peak_gib()
    index = LexicalIndex.load(folder)
    index.search(asked[:8], DEPTH)
    print("ready", flush=True)
    sys.stdin.readline()
    blocks = [asked[start : start + BLOCK] for start in range(0, documents, BLOCK)]
    began, spent = time.perf_counter(), time.process_time()
    cpu = [[cpu_of(index, block) for block in blocks] for _ in range(PASSES)]
    mean = (time.process_time() - spent) / PASSES
    seconds = (time.perf_counter() - began) / PASSES
    alone = sum(min(cpu_of(index, [text]) for _ in range(PASSES)) for text in asked[:100])
    found = {"seconds": seconds, "mean_cpu": mean, "cpu": sum(map(min, zip(*cpu, strict=True)))}
    return {**found, "alone_ms": 10 * alone, "gib": peak_gib(), "libraries": before}


def cpu_of(index: LexicalIndex, texts: list[str]) -> float:
    began = time.process_time()
    index.search(texts, DEPTH)
    return time.process_time() - began


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.lexical", "--child", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str], told: str = "") -> dict[str, float]:
    out, _ = process.communicate(told)
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def speed(labels: int, documents: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        built = result_of(child("build", folder, labels))
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
        processes = [child("search", folder, documents // 2, seed) for seed in (1, 2)]
        for process in processes:
            assert process.stdout
            process.stdout.readline()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [result_of(process) for process in processes]
    seconds, cpu = max(one["seconds"] for one in found), sum(one["cpu"] for one in found)
    return {
        "labels": labels,
        "documents": documents,
        **{name: round(value, 2) for name, value in built.items()},
        "index_mib": round(size),
        "documents_a_second_by_the_clock": round(documents / seconds),
        "documents_a_second_of_2_cores": round(2 * documents / cpu),
        "ms_of_a_core_a_document": round(1000 * cpu / documents, 3),
        "the_same_in_the_mean": round(1000 * sum(one["mean_cpu"] for one in found) / documents, 3),
        "one_by_one_ms": round(sum(one["alone_ms"] for one in found) / 2, 3),
        "search_gib": round(max(one["gib"] for one in found), 3),
        "of_which_before_loading_gib": round(max(one["libraries"] for one in found), 3),
    }


def asked_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that was asked for, and whether it is met."""
    found = []
    for what, name, sign, limit in LIMITS if "speed" in result else ():
        own = result["speed"]
        found.append(_asked(f"{own['labels']} labels: {what}", own[name], sign, limit))
    for name, own in result.get("sets", {}).items():
        for k in CUTS:
            gain, *_ = own[f"{FUSED}, R@{k}"]
            found.append(_asked(f"{name}: {FUSED}, points of R@{k}", gain, ">=", 0.0))
    return found


def _asked(what: str, value: float, sign: str, limit: float) -> dict[str, Any]:
    met = value >= limit if sign == ">=" else value < limit
    return {"what": what, "value": value, "wanted": f"{sign} {limit:g}", "met": bool(met)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few documents and labels of the sets")
    parser.add_argument("--labels", type=int, default=LABELS, help="how many are made")
    parser.add_argument("--data", type=Path, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--only", choices=("speed", "sets"))
    parser.add_argument("--add", action="store_true", help="to what a file of today holds")
    parser.add_argument("--note", default="", help="kept with the result, such as what else ran")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only == "sets" and not arguments.data:
        parser.error("--only sets needs --data")
    if arguments.child:
        name, folder, *numbers = arguments.child
        work = {"build": build, "search": search}[name]
        print(json.dumps(work(folder, *map(int, numbers))))
        return
    kind = f"{'-quick' if arguments.quick else ''}{f'-{arguments.only}' if arguments.only else ''}"
    path = RESULTS / f"lexical-{datetime.date.today().isoformat()}{kind}.json"
    result: dict[str, Any] = {}
    for part in measured(arguments):
        if arguments.add and path.exists():
            result = json.loads(path.read_text())
        sets = {**result.get("sets", {}), **part.pop("sets", {})}
        result = {**result, "note": arguments.note, **part, "sets": sets}
        result["asked"] = asked_of(result)
        path.write_text(json.dumps(result, indent=1) + "\n")  # what is measured is kept
    print(json.dumps(result))


def measured(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One part of the result after the other."""
    if arguments.only != "sets":
        yield {"speed": speed(arguments.labels, DOCUMENTS)}
    if arguments.only != "speed" and arguments.data:
        sizes = QUICK if arguments.quick else FULL
        found: dict[str, Found] = {}
        for name in arguments.sets:
            found[name] = look(arguments.data / name, **sizes)
            yield {"sets": {name: told(found[name])}}
        yield {"constant by halves": list(by_halves(found))}


if __name__ == "__main__":
    main()
