"""The service against a plain one of a few lines: same model, labels and cores, one run.

    python -m benchmarks.serving [--quick] [--seconds 8] [--rounds 3] [--output FILE]

Ours runs as `lmtx serve` starts it, rate limits included: the load comes with one API key, as
without keys nobody's rate is counted behind HAProxy, so key and rates are checked with each
request. `refused` counts by status: 429 is a rate limit, 503 too many at once.

The servers run in turn, each alone on the machine but for the load generator: an idle Ray instance
takes cores' time too. Numbers are medians over the rounds. Prints one JSON object; ratios are ours
over plain (throughput) and plain over ours (latency).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import HOST, Outcome, closed_loop, open_loop, request_bytes
from benchmarks.plain_bundle import publish_plain, sample_rows
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.io.publish import Dataset
from serve_apps.guard import GuardSettings, new_key
from serve_apps.guard.keys import KEYS_VARIABLE
from serve_apps.ports import free_port
from serve_apps.running import engines_for

ROOT = Path(__file__).resolve().parent.parent
OURS, PLAIN = free_port(), free_port()
CHARACTERS = 330  # about 75 tokens
CONCURRENCY = (1, 16, 64)
BATCH = 64
WARM_SECONDS = 2.0
SECRET, KEY_LINE = new_key("benchmark")


@dataclass(frozen=True)
class Load:
    """Requests that `clients` send again and again, each waiting for its answer."""

    bodies: list[dict[str, Any]]
    clients: int
    seconds: float


@contextlib.contextmanager
def server(command: Sequence[str], port: int, body: dict[str, Any]) -> Iterator[int]:
    """A server in a process group of its own, ready to answer; stopped at the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), KEYS_VARIABLE: KEY_LINE}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        wait_for(port, body, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(port: int, body: dict[str, Any], process: subprocess.Popen) -> None:
    """Until the server tags; RuntimeError if it ends or takes over five minutes."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}/v1/tag",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "X-API-Key": SECRET},
    )
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the server on port {port} ended with {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return
        time.sleep(1)
    raise RuntimeError(f"no answer on port {port}")


def measure(port: int, bodies: list[dict], concurrency: int, seconds: float) -> Outcome:
    requests = [request_bytes(port, body, key=SECRET) for body in bodies]
    return asyncio.run(closed_loop(port, requests, concurrency, seconds))


def ask(port: int, loads: dict[str, Load]) -> dict[str, dict[str, Any]]:
    """A summary of each load on one server."""
    found = {}
    for name, load in loads.items():
        measure(port, load.bodies, load.clients, WARM_SECONDS)
        outcome = measure(port, load.bodies, load.clients, load.seconds)
        found[name] = outcome.summary(len(load.bodies[0]["documents"]))
        print(f"port {port}, {name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def middle(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Medians over rounds of what is a time or a rate."""
    return {
        key: statistics.median(one[key] for one in runs)
        for key in runs[0]
        if key.endswith(("_ms", "_second"))
    }


def compared(plain: dict[str, float], ours: dict[str, float]) -> dict[str, Any]:
    """Both sides and their ratios."""
    ratio = {
        "throughput": round(ours["requests_per_second"] / plain["requests_per_second"], 2),
        "p50": round(plain["p50_ms"] / ours["p50_ms"], 2),
    }
    return {"plain": plain, "ours": ours, "ratio": ratio}


def bare_latency(bundle: str, texts: list[str], seconds: float) -> dict[str, float]:
    """Milliseconds of encoder and index alone, with the threads of one of the service's engines."""
    _, threads = engines_for(usable_cores())
    code = (
        "import json, os, sys, time\n"
        "from lmtx_ray.bundle.tagger import Tagger\n"
        "bundle, seconds, texts = sys.argv[1], float(sys.argv[2]), json.load(sys.stdin)\n"
        "tagger = Tagger.load(bundle, threads=int(os.environ['OMP_NUM_THREADS']))\n"
        "tagger.tag(texts[:8], 5); spent = []; begun = time.perf_counter()\n"
        "while time.perf_counter() - begun < seconds:\n"
        "    started = time.perf_counter()\n"
        "    tagger.tag([texts[len(spent) % len(texts)]], 5)\n"
        "    spent.append(time.perf_counter() - started)\n"
        "print(json.dumps(spent))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bundle, str(seconds)],
        input=json.dumps(texts),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)},
    )
    spent = np.array(json.loads(done.stdout)) * 1000
    return {f"p{q}_ms": round(float(np.percentile(spent, q)), 1) for q in (50, 95, 99)}


def stages() -> dict[str, float]:
    """Mean milliseconds of each stage since the service started, from its /metrics."""
    with urllib.request.urlopen(f"http://{HOST}:{OURS}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    values: dict[str, dict[str, float]] = {}
    for line in lines:
        for kind in ("sum", "count"):
            if line.startswith(f"lmtx_stage_seconds_{kind}"):
                stage = line.split('stage="')[1].split('"')[0]
                values.setdefault(stage, {})[kind] = float(line.rsplit(" ", 1)[1])
    return {name: round(1000 * v["sum"] / v["count"], 2) for name, v in values.items()}


def resident_mib() -> float:
    """Memory of the service's own processes (Serve replicas and HAProxy)."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            name = (status.parent / "cmdline").read_text().split("\0")[0]
            if name.startswith("ray::ServeReplica") or "haproxy" in name:
                lines = status.read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return round(total / 1024, 1)


def overload(bodies: list[dict], seconds: float) -> dict[str, Any]:
    """Twice the load that the service can sustain, against the load it can."""
    requests = [request_bytes(OURS, body, key=SECRET) for body in bodies]
    at_capacity = asyncio.run(closed_loop(OURS, requests, 64, seconds)).summary()
    rate = 2 * at_capacity["requests_per_second"]
    before = resident_mib()
    outcome = asyncio.run(open_loop(OURS, requests, rate, 3 * seconds))
    accepted = outcome.summary()
    refusals = [s for status, values in outcome.seconds.items() if status != 200 for s in values]
    return {
        "at_capacity": at_capacity,
        "offered_per_second": round(rate, 1),
        "accepted": accepted,
        "refusal_p99_ms": round(float(np.percentile(refusals, 99)) * 1000, 1) if refusals else None,
        "goodput_share": round(
            accepted["requests_per_second"] / at_capacity["requests_per_second"], 3
        ),
        "p99_ratio": round(accepted["p99_ms"] / at_capacity["p99_ms"], 2),
        "memory_mib": {"before": before, "after": resident_mib()},
    }


def run(seconds: float, rounds: int, work: Path, labels: int | None = None) -> dict[str, Any]:
    bundle = publish_plain(work / "dense", most=labels)
    folder = Dataset(bundle).folder()
    rows = sample_rows("test")[:256]
    texts = [f"{row['title']}. {row['content']}"[:CHARACTERS] for row in rows]
    single = [{"documents": [text], "top_k": 5} for text in texts]
    many = [
        {"documents": texts[start : start + BATCH], "top_k": 5}
        for start in range(0, len(texts), BATCH)
    ]
    loads = {f"concurrency_{clients}": Load(single, clients, seconds) for clients in CONCURRENCY}
    loads["batch"] = Load(many, 4, seconds)
    ours = [sys.executable, "-m", "lmtx_ray.cli", "serve", "--bundle", bundle, "--port", str(OURS)]
    plain = [sys.executable, str(ROOT / "benchmarks/plain_service.py"), folder, str(PLAIN)]
    found: dict[str, list[dict[str, Any]]] = {"bare": [], "plain": [], "ours": []}
    more: dict[str, Any] = {}
    for number in range(rounds):
        found["bare"].append(bare_latency(bundle, texts, seconds))
        with server(plain, PLAIN, single[0]):
            found["plain"].append(ask(PLAIN, loads))
        with server(ours, OURS, single[0]):
            found["ours"].append(ask(OURS, loads))
            if number == rounds - 1:
                more = {"stage_ms": stages(), "overload": overload(single, seconds)}
    refused = [one[name]["refused"] for one in found["ours"] for name in loads]
    return {**results(found, list(loads)), **more, **limits(), "refused_below_overload": refused}


def limits() -> dict[str, int]:
    """The rates that one key has, which the service was measured with."""
    usual = GuardSettings()
    names = ("requests_per_minute", "documents_per_minute")
    return {name: getattr(usual, name) for name in names}


def results(found: dict[str, list[dict[str, Any]]], loads: Sequence[str]) -> dict[str, Any]:
    """Medians and ratios of what `bare_latency` and `ask` found in each round."""
    result: dict[str, Any] = {"bare": middle(found["bare"])}
    for name in loads:
        sides = (middle([one[name] for one in found[side]]) for side in ("plain", "ours"))
        result[name] = compared(*sides)
    alone = result["concurrency_1"]["ours"]
    result["serve_adds_ms"] = {
        name: round(alone[name] - result["bare"][name], 1) for name in ("p50_ms", "p99_ms")
    }
    rate = result["batch"]["ours"]["documents_per_second"]
    one_by_one = result["concurrency_16"]["plain"]["requests_per_second"]
    result["batch"]["ratio_to_plain_one_by_one"] = round(rate / one_by_one, 2)
    return result


def processor() -> str:
    """Its name, and what it multiplies in hardware, which decides most here."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name, flags = (
        next(line.split(": ", 1)[1] for line in lines if line.startswith(key))
        for key in ("model name", "flags")
    )
    told = {"amx_bf16", "avx512_bf16", "avx512_vnni"} & set(flags.split())
    return " ".join([name, *sorted(told)])


def show(result: dict[str, Any], output: Path | None) -> None:
    """Print a result with its date and processor, and write it."""
    dated = {"date": datetime.date.today().isoformat(), "processor": processor(), **result}
    text = json.dumps(dated, indent=1)
    print(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of 2 seconds, 2,000 labels")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if arguments.quick:
            result = run(2.0, 1, Path(work), labels=2_000)
        else:
            result = run(arguments.seconds, arguments.rounds, Path(work))
    show({"cores": usable_cores(), **result}, arguments.output)


if __name__ == "__main__":
    main()
