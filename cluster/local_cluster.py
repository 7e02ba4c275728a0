"""Proves job submission on a real cluster of this machine, from start to resubmission.

    python cluster/local_cluster.py --config FILE --runs FOLDER [--set a.b=c …] [--until STEP]

Starts a head node with dashboard and token authentication on ports of its own, sees submissions
without the right token refused and a failing job fail, submits `jobs/run.py`, stops it half-way,
submits it again, runs the same in another folder undisturbed, and compares what both published.
Ends with one JSON line and exit code 0 if all was as it should be. Everything started is stopped.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from head_node import JOB_SECONDS, LocalCluster, check, local_cluster, wait_until


def prove(cluster: LocalCluster, arguments: argparse.Namespace) -> dict[str, object]:
    """The whole proof; raises AssertionError with what was not as it should be."""
    seen: dict[str, object] = {"refused": refused(cluster)}
    broken, whole = (str(arguments.runs / name) for name in ("stopped", "undisturbed"))
    code, log = cluster.submit("passing", *entrypoint(arguments, "runs/passing"))
    check(code != 0 and cluster.status("passing") == "FAILED", f"a failing job passed: {log}")
    check("deleted afterwards" in log, f"no clear line in the log of a failed job: {log}")
    seen["failed"] = cluster.status("passing")
    cluster.submit("first", *entrypoint(arguments, broken), wait=False)
    wait_until(lambda: half_way(cluster, arguments, broken), JOB_SECONDS)
    cluster.stop("first")
    wait_until(lambda: cluster.status("first") not in {"PENDING", "RUNNING"}, 60)
    seen["stopped"] = cluster.status("first")
    check(seen["stopped"] == "STOPPED", f"{seen['stopped']} before it could be stopped")
    check("prepare: " in cluster.logs("first"), "the stopped job has no log")
    seen["second"] = finish(cluster, "second", arguments, broken)
    seen["third"] = finish(cluster, "third", arguments, whole)
    published = hashes(Path(whole))
    check(bool(published) and hashes(Path(broken)) == published, "the two runs published otherwise")
    return {**seen, "steps_compared": len({key.split("/")[0] for key in published})}


def refused(cluster: LocalCluster) -> list[int]:
    """HTTP status of submissions without a token and with a wrong one; neither made a job."""
    job = {"entrypoint": "true", "submission_id": "intruder"}
    codes = [cluster.get("/api/jobs/", token, job)[0] for token in (None, "0" * 64)]
    check(all(code in (401, 403) for code in codes), f"submissions not refused: {codes}")
    done = cluster.ray(
        "job",
        "submit",
        "--address",
        cluster.address,
        "--submission-id",
        "intruder",
        "--",
        "true",
        RAY_AUTH_MODE="disabled",
    )
    check(done.returncode != 0, "ray job submit without a token was not refused")
    jobs = json.loads(cluster.get("/api/jobs/", cluster.token)[1])
    check(not any(job["submission_id"] == "intruder" for job in jobs), "a refused job exists")
    return codes


def entrypoint(arguments: argparse.Namespace, run: str) -> list[str]:
    settings = [f"run={run}", *arguments.set]
    until = ["--until", arguments.until] if arguments.until else []
    return [
        "jobs/run.py",
        "--config",
        arguments.config,
        *(part for setting in settings for part in ("--set", setting)),
        *until,
    ]


def half_way(cluster: LocalCluster, arguments: argparse.Namespace, run: str) -> bool:
    status = cluster.status("first")
    check(status in {"PENDING", "RUNNING"}, f"{status} too early: {cluster.logs('first')}")
    return any(Path(run).glob(arguments.stop_when))


def finish(cluster: LocalCluster, name: str, arguments: argparse.Namespace, run: str) -> str:
    """Submit, follow the log to the end, and look at code, status and the last JSON line."""
    code, log = cluster.submit(name, *entrypoint(arguments, run))
    check(code == 0, log)
    check(cluster.status(name) == "SUCCEEDED", f"{name}: {cluster.status(name)}")
    summary = json.loads(cluster.logs(name).strip().splitlines()[-1])
    check(summary["run"] == run and summary["run"] in log, f"{name}: no JSON line: {log}")
    return cluster.status(name)


def hashes(run: Path) -> dict[str, str]:
    """Step folder and unit -> SHA-256 of what was published. Not the summary: it holds times."""
    found = {}
    for path in run.glob("*/MANIFEST.json"):
        manifest = json.loads(path.read_text())
        units = {name: file["sha256"] for name, file in manifest.get("files", {}).items()}
        units |= {u["unit"]: u["sha256"] for u in manifest.get("units", ())}
        if not path.parent.name.startswith("evaluation-"):
            found |= {f"{path.parent.name}/{unit}": value for unit, value in units.items()}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="YAML file of the run")
    parser.add_argument("--runs", required=True, type=Path, help="empty folder for the two runs")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c")
    parser.add_argument("--until", help="stop both runs after this step")
    parser.add_argument(
        "--stop-when",
        default="verdicts-1-*/done/*.json",
        metavar="GLOB",
        help="the first job is stopped when its run has such a file",
    )
    parser.add_argument("--cpus", type=int, default=2)
    arguments = parser.parse_args()
    arguments.runs = arguments.runs.absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is stopped
    with local_cluster(arguments.cpus) as cluster:
        print(json.dumps(prove(cluster, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
