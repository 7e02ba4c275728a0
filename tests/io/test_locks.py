"""Locks between processes: alone, shared, and gone with the process that held them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lmtx_ray.io import locks
from lmtx_ray.io.locks import SharedLock

HOLD = """
import sys, time
from pathlib import Path
from lmtx_ray.io import locks
with locks.exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def is_free(path: Path) -> bool:
    with locks.exclusive(path, wait=False) as alone:
        return alone


def test_a_shared_lock_goes_with_its_last_holder(tmp_path: Path) -> None:
    path = tmp_path / "made/on the way/lock"
    first, second = SharedLock(path), SharedLock(path)
    assert not is_free(path)
    del first
    assert not is_free(path)
    del second
    assert is_free(path)


def test_the_lock_of_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert not is_free(path)
    holder.kill()
    holder.wait()
    with locks.exclusive(path) as alone:
        assert alone
        assert not is_free(path)
