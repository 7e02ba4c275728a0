"""What this machine has, told without loading a library: for suggestions."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lmtx_ray.io.cores import usable_cores

GIB = 1 << 30
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
GPU_SECONDS = 10


@dataclass(frozen=True)
class Machine:
    """Cores that may be used, memory in GiB (0.0 where nobody tells), and its GPUs by name."""

    cores: int
    memory: float
    gpus: tuple[str, ...] = ()

    def __str__(self) -> str:
        memory = f", {self.memory:.0f} GiB of memory" if self.memory else ""
        gpus = f"{len(self.gpus)} × {self.gpus[0]}" if self.gpus else "no GPU"
        return f"{self.cores} {'core' if self.cores == 1 else 'cores'}{memory}, {gpus}"


def this_machine() -> Machine:
    """The machine this process runs on, as far as it may use it."""
    return Machine(usable_cores(), _memory() / GIB, _gpus())


def _memory() -> int:
    """Bytes: of the machine, or fewer that the control group allows."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0
    for file in LIMITS:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if text.isdecimal() and int(text):
            total = min(total, int(text))
    return total


def _gpus() -> tuple[str, ...]:
    """As the driver's own tool lists them, less those that CUDA_VISIBLE_DEVICES hides."""
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GPU_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if done.returncode or (visible is not None and visible.strip() in {"", "-1"}):
        return ()
    return tuple(names[: len(visible.split(","))] if visible else names)
