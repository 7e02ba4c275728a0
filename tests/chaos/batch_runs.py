"""`lmtx tag` in a forked child, for tests that kill it or run two at once."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.dataset  # noqa: F401  (this and others are loaded once, before the forks)

from lmtx_ray.batch.outputs import published_files
from lmtx_ray.bundle import tagger  # noqa: F401
from lmtx_ray.cli.main import main
from lmtx_ray.io import s3, storage
from lmtx_ray.loop import one_file, tagging  # noqa: F401
from serve_apps import verbs  # noqa: F401
from tests.tiny import TOPICS


def corpus(units: int, rows: int = 4) -> list[tuple[str, bytes]]:
    """Files of one unit each: some rows, a bad row in every third, a repeat of the file before."""
    files = []
    for unit in range(units):
        numbers = [unit * rows + row for row in range(rows)]
        numbers += [numbers[0] - 1] if unit % 4 == 1 else []
        body = [{"id": f"d{n}", "text": f"{TOPICS[n % 8]} disease in patient {n}"} for n in numbers]
        bad = "{}\n" if unit % 3 == 2 else ""
        text = "".join(json.dumps(row) + "\n" for row in body) + bad
        files.append((f"{unit:03d}.jsonl", text.encode()))
    return files


def write_corpus(folder: str, units: int) -> None:
    for name, data in corpus(units):
        storage.write_bytes(f"{folder}/{name}", data)


def tag_arguments(bundle: str, source: str, output: str) -> list[str]:
    return [
        "tag",
        "--bundle",
        bundle,
        "--input",
        source,
        "--output",
        output,
        "--local",
        "--unit-bytes",
        "340",
    ]


def start(arguments: list[str], log: Path, before: Callable[[], None] = lambda: None) -> int:
    """Run the command line in a fork; `before` runs in the child first. Returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = sys.stderr = os.fdopen(file, "a")
        logging.root.handlers.clear()  # pytest's, so that the log goes to the file
        before()
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def finish(pid: int) -> int:
    """Exit code of a child; negative is the signal that ended it."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def kill_at(number: int, by: int = signal.SIGKILL) -> Callable[[], None]:
    """A hook that kills (or stops) the process at its n-th storage write, before or after it took
    effect: odd numbers are before, even ones after."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), by)

    def around(owner: object, name: str) -> None:
        plain = getattr(owner, name)

        def counted(*args: object, **kwargs: object) -> object:
            count()
            result = plain(*args, **kwargs)
            count()
            return result

        setattr(owner, name, counted)

    def install() -> None:
        for owner, names in (
            (os, ("replace", "link")),
            (s3.Bucket, ("put", "put_if_absent", "upload")),
        ):
            for name in names:
                around(owner, name)

    return install


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """From when a child has stopped itself; it wakes up at the end. Fails if it ended instead."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), os.waitstatus_to_exitcode(status)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def published(output: str) -> list[bytes]:
    """Bytes of the published files, tags then rejects, in manifest order."""
    uris = [*published_files(output), *published_files(output, "rejects")]
    return [storage.read_bytes(uri) for uri in uris]


def attempts(output: str) -> int:
    """Data files that units wrote, those that nobody counts included."""
    files = storage.list_files(f"{output}/data")
    return sum("-settled-" not in name for name in files)
