"""Memory of a command and of every process it starts, from /proc, while it runs."""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVERY_SECONDS, STOP_SECONDS = 0.5, 60.0
KIB = 1024


@dataclass
class Peaks:
    """Largest values seen, in bytes. `driver` and `worker` are private memory of the process that
    was started and of the largest of those that it started in turn; `shared` what all of them have
    mapped of shared memory together (the object store), `total` the sum of the private memory."""

    driver: int = 0
    worker: int = 0
    shared: int = 0
    total: int = 0
    workers: dict[str, int] = field(default_factory=dict)  # by the name of the process

    def see(self, root: int, processes: dict[int, tuple[str, int, int]]) -> None:
        """A look at all processes: (name, private bytes, shared bytes) of each."""
        for pid, (name, private, _) in processes.items():
            if pid == root:
                self.driver = max(self.driver, private)
            else:
                self.workers[name] = max(self.workers.get(name, 0), private)
        stages = [size for name, size in self.workers.items() if name.startswith("ray::")]
        self.worker = max([self.worker, *stages])
        self.shared = max([self.shared, *(shared for _, _, shared in processes.values())])
        self.total = max(self.total, sum(private for _, private, _ in processes.values()))


def watched(command: list[str], peaks: Peaks, **options: Any) -> subprocess.CompletedProcess:
    """Run a command to its end; `peaks` is given what it and its descendants took at most. It is
    told to stop where this is interrupted."""
    ended = threading.Event()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)

    def watch() -> None:
        while not ended.wait(EVERY_SECONDS):
            peaks.see(process.pid, family(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        out, _ = process.communicate()
    except KeyboardInterrupt:
        process.terminate()
        process.wait(STOP_SECONDS)
        raise
    finally:
        ended.set()
        watcher.join()
    return subprocess.CompletedProcess(command, process.returncode, out)


def family(root: int) -> dict[int, tuple[str, int, int]]:
    """The process and all its descendants: (name, private bytes, shared bytes)."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parents[int(folder.name)] = int(_stat(folder)[1])
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += [child for child, parent in parents.items() if parent == pid]
    sizes = {}
    for pid in found:
        with suppress(OSError, KeyError):
            sizes[pid] = _size(Path("/proc") / str(pid))
    return sizes


def _stat(folder: Path) -> list[str]:
    """Fields after the name: state, parent, …"""
    return (folder / "stat").read_text().rsplit(")", 1)[1].split()


def _size(folder: Path) -> tuple[str, int, int]:
    fields = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    title = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    private = int(fields["RssAnon"].split()[0]) * KIB
    shared = int(fields["RssShmem"].split()[0]) * KIB
    return title.split()[0] if title else fields["Name"].strip(), private, shared
