"""Batch tagging measured: memory against corpus size, the job against the bare loop, workers, and
many small files and one big one. `python -m benchmarks.batch [--quick]` from the repository's root.

Documents are made of the sample's abstracts. Memory and file counts use a tiny random encoder (they
do not depend on the model) and the first 100 characters of each; throughput uses all-MiniLM-L6-v2
and the sample's labels, untrained, and whole abstracts. "peak_mib" is that of the process that
`lmtx tag` starts: with --local it is driver and worker in one, with --actors the driver alone.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plain_bundle import publish_plain, sample_rows
from lmtx_ray.batch.chunks import read_chunks
from lmtx_ray.batch.job import TagJob
from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.cutting import make_units
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.io.cores import usable_cores
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

RESULTS = Path(__file__).resolve().parent / "results"
FULL = {
    "memory": (10_000, 200_000),
    "documents": 800,
    "workers": (200, 1_000),
    "files": 50_000,
    "big_bytes": 2 << 30,
}
QUICK = {
    "memory": (1_000, 20_000),
    "documents": 200,
    "workers": (50, 200),
    "files": 5_000,
    "big_bytes": 64 << 20,
}
SHORT = 100  # characters
# by the kernel's own line: what wait4 tells of a child is at least what its parent had
WITH_PEAK = """
import sys
from lmtx_ray.cli.main import main
code = main(sys.argv[1:])
print(next(line.strip() for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def documents(characters: int | None = None) -> Iterator[dict[str, str]]:
    """Rows without end: the sample's abstracts, or their beginnings, under new ids."""
    rows = sample_rows("documents")
    for number, row in enumerate(itertools.cycle(rows)):
        yield {"uid": f"d{number}", "content": row["content"][:characters]}


def write_documents(path: Path, count: int, characters: int | None = None) -> str:
    with path.open("w", encoding="utf-8") as file:
        for row in itertools.islice(documents(characters), count):
            file.write(json.dumps(row) + "\n")
    return str(path)


def write_big(path: Path, size: int) -> str:
    """A file of about `size` bytes: most of a row is a field that tagging passes over, so that
    reading is measured and not the encoder."""
    ballast = " ".join(row["content"] for row in itertools.islice(documents(), 40))
    with path.open("w", encoding="utf-8") as file:
        for row in documents(SHORT):
            file.write(json.dumps({**row, "ballast": ballast}) + "\n")
            if file.tell() >= size:
                return str(path)
    raise AssertionError("documents have no end")


def write_small(folder: Path, count: int) -> str:
    folder.mkdir()
    for number, row in enumerate(itertools.islice(documents(SHORT), count)):
        (folder / f"{number:06d}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return str(folder)


def run_job(bundle: str, source: str, output: Path, *options: str) -> dict[str, Any]:
    """`lmtx tag` in a process of its own: its JSON line, and its peak memory in MiB."""
    command = [
        sys.executable,
        "-c",
        WITH_PEAK,
        "tag",
        "--bundle",
        bundle,
        "--input",
        source,
        "--output",
        str(output),
        *options,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {' '.join(command)}")
    result, peak = done.stdout.splitlines()[-2:]
    return {**json.loads(result), "peak_mib": round(int(peak.split()[1]) / 1024)}


def bare_loop(bundle: str, source: str) -> float:
    """Rows a second of reader and Tagger alone, the model loaded."""
    from lmtx_ray.bundle.tagger import Tagger

    tagger = Tagger.load(bundle)
    job = TagJob(bundle=bundle, output="unused", source=DocumentsConfig(documents=(source,)))
    rows, started = 0, time.perf_counter()
    for unit in make_units(list_inputs([source]), job.source, job.unit_bytes):
        for chunk in read_chunks(unit, job, []):
            ids, titles, texts = (
                [row[name] for row in chunk.documents] for name in ("doc_id", "title", "text")
            )
            rows += tagger.tag(texts, 5, ids=ids, titles=titles).num_rows
    return rows / (time.perf_counter() - started)


def job_loop(bundle: str, source: str, output: str) -> float:
    """Rows a second of everything else but loading the model, which is done once either way."""
    from lmtx_ray.bundle import tagger
    from lmtx_ray.loop import tagging

    loaded = tagger.Tagger.load(bundle)
    job = TagJob(bundle=bundle, output=output, source=DocumentsConfig(documents=(source,)))
    plain = tagger.Tagger.load
    tagger.Tagger.load = staticmethod(lambda *_: loaded)
    try:
        started = time.perf_counter()
        result = tagging.tag_corpus(job, local=True)
        return result["documents"] / (time.perf_counter() - started)
    finally:
        tagger.Tagger.load = plain


def memory(tiny: str, counts: Sequence[int], folder: Path) -> dict[str, Any]:
    result = {}
    for count in counts:
        source = write_documents(folder / f"memory-{count}.jsonl", count, SHORT)
        done = run_job(tiny, source, folder / f"memory-{count}", "--local")
        result[f"memory_{count}"] = _short(done)
    return result


def throughput(tiny: str, minilm: str, count: int, folder: Path) -> dict[str, Any]:
    """Medians of three turns, bare loop and job one after the other."""
    source = write_documents(folder / "throughput.jsonl", count)
    bare_loop(tiny, source)  # warm caches
    speeds = [
        (bare_loop(minilm, source), job_loop(minilm, source, str(folder / f"job-{turn}")))
        for turn in range(3)
    ]
    bare, job = (sorted(one)[1] for one in zip(*speeds, strict=True))
    return {
        "bare_rows_per_second": round(bare, 1),
        "job_rows_per_second": round(job, 1),
        "ratio": round(job / bare, 3),
    }


def workers(minilm: str, counts: tuple[int, int], folder: Path) -> dict[str, Any]:
    """Rows a second of 1 and 2 actors, of one thread each: by the difference of a short and a long
    job, so that starting Ray and loading models does not count."""
    less, more = (write_documents(folder / f"workers-{count}.jsonl", count) for count in counts)
    speeds = {}
    for actors in (1, 2):
        jobs = [
            run_job(
                minilm,
                source,
                folder / f"actors-{actors}-{name}",
                "--actors",
                str(actors),
                "--unit-bytes",
                "30000",
            )
            for name, source in (("less", less), ("more", more))
        ]
        seconds = jobs[1]["seconds"] - jobs[0]["seconds"]
        speeds[actors] = (counts[1] - counts[0]) / seconds
    return {
        "rows_per_second_1": round(speeds[1], 1),
        "rows_per_second_2": round(speeds[2], 1),
        "speedup": round(speeds[2] / speeds[1], 2),
    }


def measure(sizes: dict[str, Any], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    tiny = publish_bundle(folder / "tiny", save_encoder(folder / "model"))
    yield from memory(tiny, sizes["memory"], folder).items()
    minilm = publish_plain(folder / "minilm", fused=True)
    yield "throughput", throughput(tiny, minilm, sizes["documents"], folder)
    yield "workers", workers(minilm, sizes["workers"], folder)
    done = run_job(
        tiny, write_small(folder / "small", sizes["files"]), folder / "out-small", "--local"
    )
    yield "small_files", {"files": sizes["files"], **_short(done)}
    source = write_big(folder / "big.jsonl", sizes["big_bytes"])
    done = run_job(tiny, source, folder / "out-big", "--local")
    yield "big_file", {"bytes": Path(source).stat().st_size, **_short(done)}


def _short(done: dict[str, Any]) -> dict[str, Any]:
    names = ("documents", "units", "seconds", "rows_per_second", "peak_mib")
    return {name: done[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    quick = parser.parse_args().quick
    day = datetime.date.today().isoformat()
    result: dict[str, Any] = {
        "date": day,
        "quick": quick,
        "cpus": usable_cores(),
        "machine": platform.machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"batch-{day}{'-quick' if quick else ''}.json"
    with tempfile.TemporaryDirectory(prefix="lmtx-bench-") as folder:
        for name, part in measure(QUICK if quick else FULL, Path(folder)):
            print(name, part, file=sys.stderr, flush=True)
            result[name] = part
            path.write_text(json.dumps(result, indent=1) + "\n")  # what is measured is kept
    print(json.dumps(result))


if __name__ == "__main__":
    main()
