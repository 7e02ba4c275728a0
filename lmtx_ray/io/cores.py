"""How many cores this process may use, which in a container or a batch system are fewer than the
machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Cores by the process's affinity and by the quotas of its control groups (version 1 and 2)
    and of those above them; part of a core counts as one, and there is at least one."""
    quotas = [_quota(folder) for folder in _folders(groups, membership)]
    return max(math.ceil(min([_affinity(), *(quota for quota in quotas if quota)])), 1)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(groups: Path, membership: Path) -> Iterator[Path]:
    """Where the process's own quotas and those above may stand. A container often sees the names of
    its host, of which it has the root alone."""
    for line in _text(membership).splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = (controllers, "cpu") if controllers else ("", "unified")
        inside = PurePosixPath(name.lstrip("/"))
        above = [PurePosixPath()] if ".." in inside.parts else [inside, *inside.parents]
        yield from (groups / mount / part for mount in mounts for part in above)


def _quota(folder: Path) -> float | None:
    """Cores that a control group may use; None without a limit."""
    numbers = _text(folder / "cpu.max").split()
    if not numbers:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        numbers = [_text(folder / name).strip() for name in names]
    quota, period = (int(text) if text.isdecimal() else 0 for text in (*numbers, "", "")[:2])
    return quota / period if quota and period else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
