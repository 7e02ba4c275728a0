"""The verdict store measured: appending, merging, and the join of candidates with it, against
reading all verdicts. `python -m benchmarks.verdicts [--quick] [--rows N ...]` from the root.

Verdicts have generated keys, 20 labels a document, out of a vocabulary of 30,000. They are appended
in parts, and merged where a judging step begins, about each million; the last few parts stay as
they are. Half of the wanted documents are in the store, with 18 of their 20 candidates. Each
measurement has a process of its own, alone, with one thread and the files in the page cache. The
join is what a judging step does with a unit of 128 documents: Lookup.find, questions.first_by_key,
questions.to_ask. "private" is RssAnon, what a process has for itself, at its peak, less what it was
before the store was opened; "resident" is VmHWM less the same, mapped pages of files with it.
"cpu_seconds" are the process's for the same span, and for making the candidates and checking them.
The plain ways read every part: into an Arrow table for Table.join, and into a dict.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from benchmarks.made_verdicts import LABELS
from benchmarks.verdict_ways import MEASUREMENTS
from lmtx_ray.io.cores import usable_cores

RESULTS = Path(__file__).resolve().parent / "results"
FULL: dict[str, Any] = {"rows": (1_000_000, 10_000_000), "documents": 100_000}
QUICK: dict[str, Any] = {"rows": (1_000_000,), "documents": 20_000}
MOST_ROWS = {"plain_arrow": 20_000_000, "plain_dict": 2_000_000}  # with more they are not tried
LIMIT_MIB, LIMIT_SHARE, LIMIT_GROWTH, JUDGEMENTS = 500, 0.05, 1.3, 1000


def alone(name: str, rows: int, folder: Path, documents: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.verdicts",
        "--only",
        name,
        "--rows",
        str(rows),
        "--documents",
        str(documents),
        "--folder",
        str(folder),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"{rows} {name}", result, file=sys.stderr, flush=True)
    return result


def measure(rows: int, folder: Path, documents: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in MEASUREMENTS:
        if rows <= MOST_ROWS.get(name, rows):
            yield name, alone(name, rows, folder, documents)


def wanted(value: float, what: str, limit: float | None) -> dict[str, Any]:
    """A figure and what is asked of it; of some nothing is, they are there to be seen."""
    if limit is None:
        return {"what": what, "value": round(value, 4), "wanted": None, "met": None}
    return {"what": what, "value": round(value, 4), "wanted": f"<= {limit}", "met": value <= limit}


def judged(result: dict[str, Any], rows: int, documents: int) -> list[dict[str, Any]]:
    """What is asked of the join with the store at this size, and whether it is so."""
    own, join = result[str(rows)], result[str(rows)]["join"]
    limit = LIMIT_SHARE * join["pairs"] / JUDGEMENTS
    share = join["seconds"] / (join["asked"] / JUDGEMENTS)
    of = f"join of {documents} documents x {LABELS} with {rows} verdicts"
    found = [
        wanted(join["private_mib"], f"{of}: no process holds it, private MiB", LIMIT_MIB),
        wanted(join["seconds"], f"{of}: seconds", limit),
        wanted(share, f"{of}: share of judging the rest at {JUDGEMENTS} a second", LIMIT_SHARE),
        wanted(join["wrong"], f"{of}: pairs wrongly found or missed", 0),
    ]
    for name in MOST_ROWS:
        if plain := own.get(name):
            for unit, most in (("seconds", None), ("private_mib", 1)):
                ratio = join[unit] / plain[unit]
                found.append(wanted(ratio, f"{of}: {unit} over those of {name}", most))
    return found


def growth(result: dict[str, Any], less: int, more: int) -> dict[str, Any]:
    private = [result[str(rows)]["join"]["private_mib"] for rows in (less, more)]
    what = f"private memory of the join with {more} verdicts over that with {less}"
    return wanted(private[1] / private[0], what, LIMIT_GROWTH)


def run(sizes: dict[str, Any], folder: Path, path: Path) -> dict[str, Any]:
    day, (rows, documents) = datetime.date.today().isoformat(), sizes.values()
    result: dict[str, Any] = {
        "date": day,
        "cpus": usable_cores(),
        "machine": platform.machine(),
        "documents": documents,
        "labels": LABELS,
    }
    for count in rows:
        own = result[str(count)] = {}
        for name, part in measure(count, store := folder / str(count), documents):
            own[name] = part
            path.write_text(json.dumps(result, indent=1) + "\n")  # what is measured is kept
        shutil.rmtree(store)
    asked = [one for count in rows for one in judged(result, count, documents)]
    asked += [growth(result, *two) for two in itertools.pairwise(rows)]
    result |= {"asked": asked}
    path.write_text(json.dumps(result, indent=1) + "\n")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 M verdicts, 20,000 documents")
    parser.add_argument("--rows", type=int, nargs="+", help="verdicts in the store, each in turn")
    parser.add_argument("--documents", type=int, help="to judge")
    parser.add_argument("--folder", type=Path, help="where to make stores, for a while")
    parser.add_argument(
        "--only", choices=list(MEASUREMENTS), help="one measurement, of the store --folder"
    )
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    sizes = {
        "rows": tuple(arguments.rows or sizes["rows"]),
        "documents": arguments.documents or sizes["documents"],
    }
    if arguments.only:
        pa.set_cpu_count(1)
        pa.array(np.zeros(1))  # imports pandas where there is one: not the store's doing
        measurement = MEASUREMENTS[arguments.only]
        print(json.dumps(measurement(sizes["rows"][0], arguments.folder, sizes["documents"])))
        return
    RESULTS.mkdir(exist_ok=True)
    kind = "-quick" if arguments.quick else ""
    path = RESULTS / f"verdicts-{datetime.date.today().isoformat()}{kind}.json"
    with tempfile.TemporaryDirectory(prefix="lmtx-bench-", dir=arguments.folder) as folder:
        print(json.dumps(run(sizes, Path(folder), path)))


if __name__ == "__main__":
    main()
