"""The index over labels against hnswlib: build time, recall, queries a second and memory.

    python -m benchmarks.index [--sizes 100000,1000000,3000000] [--data FOLDER | --vectors FILE]
                               [--work FOLDER] [--quick] [--add] [--sides exact,ivf,hnswlib]

Label vectors are real ones, repeated with noise (`index_vectors`): of a set's labels (`--data`), of
a file, or of the labels of the sample here. Queries are label vectors with noise; recall is told of
test documents of the set too. Each side builds and searches in a process of its own,
alone, on all cores; the result is saved after each, and `--add` goes on with what is in the file of
the day. hnswlib: `pip install --no-deps hnswlib==0.8.0`. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.index_sides import threads
from benchmarks.index_vectors import real_documents, real_vectors, write_vectors

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
SIZES, SIDES = "100000,1000000,3000000", "exact,ivf,hnswlib"
QUERIES, QUICK_QUERIES, QUICK_SIZE = 1000, 256, 50_000
BUDGET = 6 << 30
RECALL, BUILD, MOST_MIB = 0.99, 10.0, 6 * 1024
RATES = ("batch_per_second", "single_per_second")
SMALL, SMALL_BATCH = 100_000, 2.0  # up to so many labels, batches that many times as fast
LARGE = 3_000_000  # labels to which the bound of memory belongs


def step(name: str, folder: Path) -> dict[str, Any]:
    """A step in a process of its own."""
    print(f"{folder.name}: {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.index_sides", name, str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{folder.name}: {name} {result}", file=sys.stderr, flush=True)
    return result


def side(name: str, folder: Path, exact_build: float) -> dict[str, Any]:
    """What one side took. An approximate index is built beside the exact one, so its build is that
    of both."""
    if name == "hnswlib":
        return step(name, folder)
    if name == "exact":
        return {"build_seconds": exact_build, **step(name, folder)}
    built = step(f"build-{name}", folder)
    seconds = round(exact_build + built.pop("seconds"), 2)
    return {"build_seconds": seconds, **built, **step(name, folder)}


def asked(size: int, sides: Mapping[str, Mapping[str, Any]], default: str) -> list[dict[str, Any]]:
    """What is asked of the default's side, as far as both were measured."""
    ours, theirs = sides.get(default, {}), sides.get("hnswlib", {})
    if "recall" not in ours:
        return []
    found = [_at_least(f"{size}: recall@100", ours["recall"], RECALL)]
    if size >= LARGE:
        mib = ours["memory_mib"]
        entry = {"what": f"{size}: MiB of the process", "value": mib, "wanted": MOST_MIB}
        found.append({**entry, "met": mib <= MOST_MIB})
    if "recall" in theirs:
        build = theirs["build_seconds"] / ours["build_seconds"]
        batch, single = (ours[name] / theirs[name] for name in RATES)
        wanted = SMALL_BATCH if size <= SMALL else 1.0
        found += [
            _at_least(f"{size}: build, times as fast as hnswlib", build, BUILD),
            _at_least(f"{size}: batches of 128, times as fast", batch, wanted),
            _at_least(f"{size}: single queries, times as fast", single, 1.0),
        ]
    return found


def _at_least(what: str, value: float, wanted: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 4), "wanted": wanted, "met": value >= wanted}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    import faiss

    from lmtx_ray.search.hardware import has_int8

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    own = {"cores": threads(), "multiplies_int8": has_int8(), "faiss": faiss.__version__}
    return {"processor": name, **own}


def default_of(size: int, dimensions: int, int8: bool) -> str:
    """The kind that `auto` means here."""
    from lmtx_ray.search.index_choice import choose, kind_of

    return kind_of(choose(size, dimensions, BUDGET, RECALL, int8))


class Report:
    """The result file, written anew after each side."""

    def __init__(self, path: Path, go_on: bool) -> None:
        self._path = path
        there = go_on and path.exists()
        self.content: dict[str, Any] = json.loads(path.read_text()) if there else {"sizes": {}}

    def of(self, size: int) -> dict[str, Any]:
        """What is known of a size."""
        known: dict[str, Any] = self.content["sizes"].setdefault(str(size), {"sides": {}})
        return known

    def save(self) -> None:
        """With what is asked of all sizes so far."""
        sizes = sorted(self.content["sizes"].items(), key=lambda item: int(item[0]))
        found = (asked(int(size), own["sides"], own["default"]) for size, own in sizes)
        self.content["asked"] = list(chain.from_iterable(found))
        self._path.write_text(json.dumps(self.content, indent=1) + "\n")


def run(
    sizes: Sequence[int], sides: Sequence[str], queries: int, given: argparse.Namespace, path: Path
) -> dict[str, Any]:
    """Measure what the report does not have yet."""
    report = Report(path, given.add)
    report.content |= {"machine": machine(), "queries": queries}
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        name, real_RD = real_vectors(given.vectors, given.data, work)
        found_TD = None if given.vectors else real_documents(given.data, work)
        documents_TD = real_RD[:0] if found_TD is None else found_TD
        report.content |= {"vectors": name, "real_vectors": len(real_RD)}
        for size in sizes:
            own = report.of(size)
            int8 = report.content["machine"]["multiplies_int8"]
            own["default"] = default_of(size, real_RD.shape[1], int8)
            missing = [name for name in sides if name not in own["sides"]]
            with tempfile.TemporaryDirectory(dir=work, prefix=f"labels-{size}-") as made:
                if missing:
                    vectors = Path(made) / "vectors.safetensors"
                    write_vectors(vectors, real_RD, size, queries, documents_TD)
                    exact_build = prepared(Path(made))
                for name in missing:
                    own["sides"][name] = side(name, Path(made), exact_build)
                    report.save()
    report.save()
    return report.content


def prepared(folder: Path) -> float:
    """The truth and the exact index; seconds of the latter."""
    step("truth", folder)
    seconds: float = step("build-exact", folder)["seconds"]
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--sizes", default=SIZES, help=f"numbers of labels; {SIZES} if not given")
    add("--sides", default=SIDES, help="of exact, ivf, hnsw (ours) and hnswlib")
    add("--data", type=Path, help="a set's folder with labels.jsonl.gz, encoded here")
    add("--vectors", type=Path, help="a safetensors file with a matrix `vectors` instead")
    add("--work", type=Path, help="keep encoded labels there; large files come and go in it")
    add("--quick", action="store_true", help=f"{QUICK_SIZE} labels and {QUICK_QUERIES} queries")
    add("--add", action="store_true", help="go on with the result file of the day")
    add("--output", type=Path, help="write the result there")
    given = parser.parse_args()
    sizes = [QUICK_SIZE] if given.quick else [int(size) for size in given.sizes.split(",")]
    kind = "-quick" if given.quick else ""
    path = given.output or RESULTS / f"index-{datetime.date.today().isoformat()}{kind}.json"
    queries = QUICK_QUERIES if given.quick else QUERIES
    print(json.dumps(run(sizes, given.sides.split(","), queries, given, path)))


if __name__ == "__main__":
    main()
