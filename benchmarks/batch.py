"""Batch tagging measured: memory against corpus size, the job against the bare loop, workers, and
many small files and one big one. `python -m benchmarks.batch [--quick]` from the repository's root.

Documents are made of the sample's abstracts. Memory and file counts use a tiny random encoder (they
do not depend on the model); throughput uses all-MiniLM-L6-v2 and the sample's labels, untrained.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.plain_bundle import SAMPLE, publish_plain
from lmtx_ray.batch.chunks import read_chunks
from lmtx_ray.batch.inputs import list_inputs
from lmtx_ray.batch.plan import make_units
from lmtx_ray.batch.settings import TagJob
from lmtx_ray.corpus import DocumentsConfig
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

RESULTS = Path(__file__).resolve().parent / "results"
FULL = {"memory": (10_000, 200_000), "documents": 1_500, "files": 50_000,
        "big_bytes": 2 << 30}  # fmt: skip
QUICK = {"memory": (1_000, 20_000), "documents": 400, "files": 5_000,
         "big_bytes": 64 << 20}  # fmt: skip


def documents() -> Iterator[str]:
    """JSON lines without end: the sample's abstracts under new ids."""
    with gzip.open(SAMPLE / "documents.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for number, row in enumerate(itertools.cycle(rows)):
        yield json.dumps({**row, "uid": f"d{number}"}) + "\n"


def write_documents(path: Path, count: int) -> str:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(itertools.islice(documents(), count))
    return str(path)


def write_big(path: Path, size: int) -> str:
    """A file of about `size` bytes; a document is many abstracts, so that rows stay few."""
    lines = documents()
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            rows = [json.loads(line) for line in itertools.islice(lines, 200)]
            text = " ".join(row["content"] for row in rows)
            file.write(json.dumps({"uid": rows[0]["uid"], "content": text}) + "\n")
    return str(path)


def write_small(folder: Path, count: int) -> str:
    folder.mkdir()
    for number, line in enumerate(itertools.islice(documents(), count)):
        (folder / f"{number:06d}.jsonl").write_text(line, encoding="utf-8")
    return str(folder)


def run_job(bundle: str, source: str, output: Path, *options: str) -> dict[str, Any]:
    """`lmtx tag` in a process of its own: its JSON line, and its peak memory in MiB."""
    command = [sys.executable, "-m", "lmtx_ray.cli", "tag", "--bundle", bundle, "--input", source,
               "--output", str(output), *options]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"exit {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    result = json.loads(text.splitlines()[-1])
    return {**result, "peak_mib": round(usage.ru_maxrss / 1024)}


def bare_loop(bundle: str, source: str) -> float:
    """Rows a second of reader and Tagger alone, the model loaded."""
    from lmtx_ray.tagger import Tagger

    tagger = Tagger.load(bundle)
    job = TagJob(bundle=bundle, output="unused", source=DocumentsConfig(documents=(source,)))
    rows, started = 0, time.perf_counter()
    for unit in make_units(list_inputs([source]), job, 0):
        for chunk in read_chunks(unit, job, []):
            ids, titles, texts = ([row[name] for row in chunk.documents]
                                  for name in ("doc_id", "title", "text"))  # fmt: skip
            rows += tagger.tag(ids, titles, texts, 5).num_rows
    return rows / (time.perf_counter() - started)


def job_loop(bundle: str, source: str, output: str) -> float:
    """Rows a second of everything else but loading the model, which is done once either way."""
    from lmtx_ray import tagger, tagging

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


def measure(sizes: dict[str, Any], folder: Path) -> dict[str, Any]:
    tiny, result = publish_bundle(folder / "tiny", save_encoder(folder / "model")), {}
    for count in sizes["memory"]:
        source = write_documents(folder / f"memory-{count}.jsonl", count)
        done = run_job(tiny, source, folder / f"memory-{count}", "--local")
        result[f"memory_{count}"] = _short(done)
    minilm = publish_plain(folder / "minilm", fused=True)
    source = write_documents(folder / "throughput.jsonl", sizes["documents"])
    bare_loop(tiny, source)  # warm caches
    speeds = [(bare_loop(minilm, source), job_loop(minilm, source, str(folder / f"job-{turn}")))
              for turn in range(3)]  # fmt: skip
    bare, job = (sorted(one)[1] for one in zip(*speeds, strict=True))
    result["throughput"] = {"bare_rows_per_second": round(bare, 1),
                            "job_rows_per_second": round(job, 1), "ratio": round(job / bare, 3)}
    for actors in ("1", "2"):
        done = run_job(minilm, source, folder / f"actors-{actors}", "--actors", actors,
                       "--unit-bytes", "60000")  # fmt: skip
        result[f"actors_{actors}"] = _short(done)
    done = run_job(tiny, write_small(folder / "small", sizes["files"]), folder / "out-small",
                   "--local")  # fmt: skip
    result["small_files"] = {"files": sizes["files"], **_short(done)}
    source = write_big(folder / "big.jsonl", sizes["big_bytes"])
    done = run_job(tiny, source, folder / "out-big", "--local")
    result["big_file"] = {"bytes": Path(source).stat().st_size, **_short(done)}
    return result


def _short(done: dict[str, Any]) -> dict[str, Any]:
    names = ("documents", "units", "seconds", "rows_per_second", "peak_mib")
    return {name: done[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="lmtx-bench-") as folder:
        result = measure(QUICK if quick else FULL, Path(folder))
    day = datetime.date.today().isoformat()
    result = {"date": day, "quick": quick, "cpus": os.cpu_count(),
              "machine": platform.machine(), **result}  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    (RESULTS / f"batch-{day}{'-quick' if quick else ''}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
