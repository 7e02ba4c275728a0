"""Training measured: against an older revision of this package, and against sentence-transformers'
own trainer. `python -m benchmarks.train [--quick] [--extra FOLDER]` from the repository's root.

Documents of the sample, cut after 96 tokens, 24 a step; each with one label that stands against
five others and all of the batch (InfoNCE, temperature 0.05, AdamW, linear warm-up and decay). The
labels are those whose words a document has, so no judge is needed. All sides start from
all-MiniLM-L6-v2; each is a process of its own, the sides in turns, the best round of each counts.

The older side is the code of `--before REVISION`, taken out of git, with the token budget that the
demo gave it (1024) and with its default. For the other, `accelerate` and `datasets` have to be
there: `pip install --no-deps --target FOLDER accelerate datasets multiprocess xxhash`, and
`--extra FOLDER`.

Speed is of CPU seconds (of all threads), which other work on the machine moves less than the clock
on the wall; both are written down. The fixed loss is that of documents held aside, without dropout:
what the worst of the sides ends with. Two workers have one thread each and share the same batches.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.plain_bundle import sample_rows
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.lexical import LexicalIndex

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BEFORE = "d135bcf"  # the last revision whose texts were padded
BATCH, TOKENS, LABELS, ASIDE = 24, 96, 6, 96
FASTER, FASTER_THAN_THEIRS, WASTE = 1.8, 1.3, 0.75
FULL, QUICK = {"steps": 40, "every": 5, "rounds": 2}, {"steps": 6, "every": 3, "rounds": 1}
Result = dict[str, Any]


def write_data(path: Path, steps: int) -> None:
    """Documents with LABELS labels each, the right one first; those held aside are no others'."""
    names = [row["title"] for row in sample_rows("labels")]
    texts = [document_text(row["title"], row["content"]) for row in sample_rows("documents")]
    texts = texts[: ASIDE + steps * BATCH]
    found, _ = LexicalIndex.build(names).search(texts, LABELS)
    rows = [
        {"document": text, "labels": [names[label] for label in own]}
        for text, own in zip(texts, found.tolist(), strict=True)
        if min(own) >= 0
    ]
    data = {"aside": rows[:ASIDE], "train": rows[ASIDE:]}
    path.write_text(json.dumps(data), encoding="utf-8")


def processor() -> str:
    """Its name, and the number formats that it multiplies in hardware."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name, flags = (
        next(line.split(": ", 1)[1] for line in lines if line.startswith(key))
        for key in ("model name", "flags")
    )
    return " ".join([name, *sorted({"amx_bf16", "avx512_bf16"} & set(flags.split()))])


def take_out(revision: str, folder: Path) -> str:
    """The package at a revision of this repository, as a folder for PYTHONPATH."""
    command = ["git", "-C", str(ROOT), "archive", revision, "lmtx_ray"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    return str(folder)


def sides(old: str, extra: str | None, more: bool) -> dict[str, tuple[list[str], Result]]:
    """By name: what stands in PYTHONPATH, and settings of `fit`."""
    found: dict[str, tuple[list[str], Result]] = {
        "before": ([old], {"token_budget": 1024}),
        "now": ([str(ROOT)], {}),
    }
    if extra:
        found["sentence-transformers"] = ([str(ROOT), extra], {})
    found["before, default budget"] = ([old], {})
    found["now, the model's dropout"] = ([str(ROOT)], {"dropout": None})  # as the others have it
    if more:
        found["now, in chunks"] = ([str(ROOT)], {"token_budget": 1024})
    return found


def start(folder: Path, name: str, paths: list[str], job: Result) -> subprocess.Popen[bytes]:
    """A side in a process of its own, which writes `folder`/`name`.json."""
    job = {"side": name, "output": str(folder / f"{name}.json"), **job}
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(job["threads"]),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, str(ROOT / "benchmarks" / "train_side.py"), json.dumps(job)]
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)


def run(folder: Path, jobs: dict[str, tuple[list[str], Result]]) -> list[Result]:
    """What processes that run at one time wrote."""
    started = [start(folder, name, *job) for name, job in jobs.items()]
    for process in started:
        if process.wait():
            raise SystemExit(f"a side ended with {process.returncode}")
    return [json.loads((folder / f"{name}.json").read_text()) for name in jobs]


def measure(job: Result, rounds: int, folder: Path, before: str, extra: str | None) -> Result:
    """The best round of every side."""
    best: Result = {}
    (folder / "old").mkdir()
    for number in range(rounds):
        for name, (paths, fit) in sides(
            take_out(before, folder / "old"), extra, rounds > 1
        ).items():
            (found,) = run(folder, {name: (paths, {**job, "fit": fit})})
            print(
                f"{number + 1}. {name}: {found['examples_per_cpu_second']} a CPU second", flush=True
            )
            kept = best.get(name)
            if not kept or found["examples_per_cpu_second"] > kept["examples_per_cpu_second"]:
                best[name] = found
    return best


def scaling(job: Result, folder: Path) -> Result:
    """One worker and two, of one thread each, over the same batches."""
    job = {**job, "threads": 1, "every": 0, "fit": {}, "meeting": str(folder / "meeting")}
    paths = [str(ROOT)]
    (one,) = run(folder, {"alone": (paths, job)})
    two = run(folder, {f"worker{n}": (paths, {**job, "rank": n, "world": 2}) for n in (0, 1)})
    wall = max(worker["wall_seconds"] for worker in two)
    cpu = sum(worker["cpu_seconds"] for worker in two)
    return {
        "alone": one,
        "two": two,
        "efficiency": round(one["wall_seconds"] / (2 * wall), 3),
        "efficiency_of_cpu_seconds": round(one["cpu_seconds"] / cpu, 3),
    }


def to_a_fixed_loss(found: Result) -> Result:
    """CPU seconds of every side until the loss held aside is what the worst one ends with."""
    wanted = max(side["losses"][-1]["loss"] for side in found.values())
    return {"loss": wanted} | {
        name: next(look["cpu_seconds"] for look in side["losses"] if look["loss"] <= wanted)
        for name, side in found.items()
    }


def asked(found: Result, workers: Result) -> list[Result]:
    """What was asked of the speed, and whether it was met."""
    speed = {name: side["examples_per_cpu_second"] for name, side in found.items()}
    lines = [("examples a second, of those before", speed["now"] / speed["before"], FASTER, True)]
    theirs = found.get("sentence-transformers")
    if theirs:
        ratio = speed["now"] / speed["sentence-transformers"]
        memory = found["now"]["peak_mib"] / theirs["peak_mib"]
        lines.append(
            ("examples a second, of sentence-transformers'", ratio, FASTER_THAN_THEIRS, True)
        )
        lines.append(("peak memory, of sentence-transformers'", memory, 1.0, False))
    lines.append(("efficiency of two workers", workers["efficiency"], WASTE, True))
    return [
        {
            "what": what,
            "value": round(value, 3),
            "wanted": f"{'at least' if least else 'at most'} {wanted}",
            "met": value >= wanted if least else value <= wanted,
        }
        for what, value, wanted, least in lines
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--before", default=BEFORE, help="the revision to compare with")
    parser.add_argument("--extra", help="a folder with accelerate and datasets")
    parser.add_argument("--threads", type=int, default=1, help="of each side")
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or sizes["rounds"]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_data(folder / "data.json", sizes["steps"])
        job = {
            "data": str(folder / "data.json"),
            "steps": sizes["steps"],
            "every": sizes["every"],
            "batch": BATCH,
            "tokens": TOKENS,
            "threads": arguments.threads,
            "rank": 0,
            "world": 1,
        }
        found = measure(job, rounds, folder, arguments.before, arguments.extra)
        workers = scaling({**job, "steps": max(sizes["steps"] // 2, 6)}, folder)
    day = datetime.date.today().isoformat()
    result = {
        "date": day,
        "processor": processor(),
        "quick": arguments.quick,
        "threads": arguments.threads,
        "before": arguments.before,
        "sides": found,
        "cpu_seconds_to_a_fixed_loss": to_a_fixed_loss(found),
        "workers": workers,
        "asked": asked(found, workers),
    }
    path = RESULTS / f"train-{day}{'-quick' if arguments.quick else ''}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"asked": result["asked"]}))


if __name__ == "__main__":
    main()
