"""A container's quota and a process's affinity count, not what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmtx_ray.io import cores
from lmtx_ray.io.cores import usable_cores

V1 = "9:name=systemd:/\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n"
# name -> (what /proc/self/cgroup says, files under /sys/fs/cgroup, cores of a machine of 64)
GROUPS: dict[str, tuple[str, dict[str, str], int]] = {
    "no control groups": ("", {}, 64),
    "no limit, version 2": ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
    "no limit, version 1": (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "1"}, 64),
    "two cores, version 2": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    "two cores, version 1": (
        V1,
        {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        2,
    ),
    "a group of its own": (
        V1,
        {
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "300000",
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
        },
        3,
    ),
    "part of a core": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "half a core": ("0::/\n", {"cpu.max": "50000 100000"}, 1),
    "the least of all above": (
        "0::/a.slice/b.scope\n",
        {"cpu.max": "max 100000", "a.slice/cpu.max": "400000 100000", "a.slice/b.scope/x": ""},
        4,
    ),
    "names of the host": ("0::/kubepods/pod1/c\n", {"cpu.max": "500000 100000"}, 5),
    "outside of the name space": ("0::/../../x\n", {"cpu.max": "500000 100000"}, 5),
    "both versions": ("1:name=systemd:/\n0::/\n", {"unified/cpu.max": "600000 100000"}, 6),
    "more than the machine has": ("0::/\n", {"cpu.max": "9900000 100000"}, 64),
    "unreadable numbers": ("0::/\n", {"cpu.max": "many"}, 64),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_quota_counts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    membership, files, expected = GROUPS[name]
    monkeypatch.setattr(cores, "_affinity", lambda: 64)
    for path, text in {"self": membership, **files}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert usable_cores(tmp_path, tmp_path / "self") == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone has it")
def test_an_affinity_counts() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lmtx_ray.io.cores import usable_cores; print(usable_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_nothing_else_asks_how_many_cores_the_machine_has() -> None:
    root = Path(__file__).resolve().parents[2]
    folders = ("lmtx_ray", "serve_apps", "benchmarks", "cluster", "jobs", "examples")
    asking = {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob("*.py")
        if "os.cpu_count(" in path.read_text(encoding="utf-8")
    }
    assert asking == {"lmtx_ray/io/cores.py"}
