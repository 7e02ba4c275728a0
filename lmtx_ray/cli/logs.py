"""Where what nobody asked for goes: one log file a command, so that a terminal shows what matters.

Ray, vLLM, transformers and native libraries write to standard error as they like, child processes
too. So the process's own standard error becomes the log file, and what this package has to say goes
to the one that was there before. The file holds the whole trace of every error; messages name it.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

LOG_DIR = "LMTX_LOG_DIR"
MOST_FILES = 30
MOST_BYTES, KEPT_BYTES = 64 << 20, 1 << 20  # of one file; what stays of one that grew beyond
OURS = ("lmtx_ray", "serve_apps", "tests")
QUIET_LIBRARIES = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
logger = logging.getLogger("lmtx_ray")


@dataclass(frozen=True)
class Streams:
    """Where this process talks to people, and where its log is."""

    error: TextIO
    log: Path | None = None


def log_folder() -> Path:
    """LMTX_LOG_DIR, else the user's folder for such things, else one among the temporary files."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    temporary = Path(tempfile.gettempdir()) / f"lmtx-logs-{os.getuid()}"
    named = os.environ.get(LOG_DIR)
    for folder in (Path(named or Path(state) / "lmtx_ray" / "logs"), temporary):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return temporary


def open_log(verb: str) -> tuple[Path, int]:
    """A new log file and its descriptor; of the old ones the newest stay."""
    folder = log_folder()
    old = sorted(folder.glob("*.log"), key=_written)
    for path in old[: -MOST_FILES + 1]:
        path.unlink(missing_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{verb}-{os.getpid()}.log"
    return path, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)


def _written(path: Path) -> float:
    """When; long ago of a file that another command has deleted meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def shorten(path: Path) -> None:
    """Keep the end of a log that grew too long. Who writes to it goes on: they append."""
    if path.stat().st_size > MOST_BYTES:
        with path.open("r+b") as file:
            file.seek(-KEPT_BYTES, os.SEEK_END)
            end = file.read()
            file.truncate(0)
            file.seek(0)
            file.write(b"[the beginning was cut off]\n" + end)


def _is_asked_by_us() -> bool:
    """Whether a stream's method was called by a module of ours."""
    try:
        caller = sys._getframe(2).f_globals.get("__name__", "")
    except ValueError:  # the interpreter's own, at its end
        caller = ""
    return str(caller).split(".")[0] in OURS


class Sorted(io.TextIOBase):
    """Standard error of Python: what this package prints goes to people, the rest to the log."""

    encoding = "utf-8"

    def __init__(self, people: TextIO, log: TextIO) -> None:
        self._people, self._log = people, log

    def write(self, text: str) -> int:
        """By the module that writes."""
        return (self._people if _is_asked_by_us() else self._log).write(text)

    def flush(self) -> None:
        """Both."""
        self._people.flush()
        self._log.flush()

    def isatty(self) -> bool:
        """That of people, where this package asks. Progress bars of libraries do too, and are
        written to the log."""
        return _is_asked_by_us() and self._people.isatty()

    def fileno(self) -> int:
        """Of the log, as it is what the process's standard error is now."""
        return self._log.fileno()


class OfOurs(logging.Filter):
    """Records of this package; with `verbose`, warnings of others too."""

    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self._verbose = verbose

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether people see it."""
        is_ours = record.name.split(".")[0] in OURS
        return is_ours or (self._verbose and record.levelno >= logging.WARNING)


class WithoutTrace(logging.Formatter):
    """A record as one line: its trace is in the log."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        short = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return super().format(short)


def people_level(quiet: bool, verbose: bool) -> int:
    """The least level that people see."""
    return logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO


def take_over(verb: str, quiet: bool, verbose: bool) -> Streams:
    """Give this process its log file. For a process of our own alone: its standard error and output
    are changed for good.

    What children and native code write to standard output is in the log too.
    """
    for name, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(name, value)
    path, file = open_log(verb)
    people = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    output = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="surrogateescape")
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    log = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout, sys.stderr = output, cast(TextIO, Sorted(people, log))
    _set_handlers(log, people, people_level(quiet, verbose), verbose)
    threading.Thread(target=_keep_short, args=(path,), daemon=True).start()
    return Streams(people, path)


def _set_handlers(log: TextIO, people: TextIO, level: int, verbose: bool) -> None:
    whole = logging.StreamHandler(log)
    whole.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    shown = logging.StreamHandler(people)
    shown.setFormatter(WithoutTrace("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    shown.setLevel(level)
    shown.addFilter(OfOurs(verbose))
    logging.root.handlers[:] = [whole, shown]
    logging.root.setLevel(logging.INFO)
    logger.setLevel(logging.DEBUG)


def _keep_short(path: Path) -> None:
    while True:
        time.sleep(10)
        try:
            shorten(path)
        except OSError:
            return
