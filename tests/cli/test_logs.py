"""What a process writes: people read what matters, the log has everything."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmtx_ray.cli import logs
from lmtx_ray.cli.terminal import TerminalDisplay
from lmtx_ray.io.stage import State

NOISY = """
import argparse, logging, os, subprocess, sys, warnings
from lmtx_ray.cli import own_process
from lmtx_ray.cli.main import carry_out
from lmtx_ray.io.stage import Stage
sys.path.insert(0, ".")

def verb(arguments):
    os.write(2, b"native noise\\n")
    os.write(1, b"native words\\n")
    subprocess.run("echo noise of a child >&2; echo words of a child", shell=True)
    warnings.warn("a library warns")
    logging.getLogger("ray.data").warning("ray complains")
    logging.getLogger("lmtx_ray.x").info("seen by people")
    logging.getLogger("lmtx_ray.x").debug("seen with -v")
    if arguments.fails:
        raise ValueError("first line\\nsecond line")
    return {"answer": 42}

arguments = argparse.Namespace(command="try", run_command=verb, quiet="-q" in sys.argv,
    verbose="-v" in sys.argv, json="--json" in sys.argv, fails="fails" in sys.argv)
sys.exit(own_process.run(arguments, carry_out))
"""


def run(folder: Path, *arguments: str) -> tuple[int, str, str, str]:
    """Exit code, standard output and error, and the log."""
    environment = {**os.environ, "LMTX_LOG_DIR": str(folder / "logs")}
    done = subprocess.run(
        [sys.executable, "-c", NOISY, *arguments], capture_output=True, text=True, env=environment
    )
    (log,) = (folder / "logs").glob("*.log")
    return done.returncode, done.stdout, done.stderr, log.read_text()


def test_noise_goes_to_the_log_and_the_result_alone_to_standard_output(tmp_path: Path) -> None:
    code, output, error, log = run(tmp_path)
    assert (code, output) == (0, '{"answer": 42}\n')
    assert [line.split(" ", 1)[1] for line in error.splitlines()] == ["seen by people"]
    for noise in ("native noise", "native words", "noise of a child", "words of a child"):
        assert noise in log
    for said in ("a library warns", "ray complains", "seen by people", "seen with -v"):
        assert said in log


def test_an_error_is_one_line_that_names_the_log_with_its_trace(tmp_path: Path) -> None:
    code, output, error, log = run(tmp_path, "fails", "-q")
    assert (code, output) == (1, "")
    (line,) = error.splitlines()
    assert re.search(r"lmtx try: first line .*the whole trace: (\S+)\)$", line)
    assert "Traceback" in log
    assert "second line" in log
    code, _, error, _ = run(tmp_path / "verbose", "-v")
    assert "seen with -v" in error
    assert "ray complains" in error


def test_a_person_at_a_terminal_reads_words_and_can_ask_for_json(tmp_path: Path) -> None:
    def at_terminal(*arguments: str) -> str:
        reader, terminal = pty.openpty()
        done = subprocess.Popen(
            [sys.executable, "-c", NOISY, *arguments], stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        said = b""
        try:
            while part := os.read(reader, 4096):
                said += part
        except OSError:  # the other side is closed
            pass
        assert done.wait() == 0
        return said.decode()

    assert "answer: 42" in at_terminal()
    assert '{"answer": 42}' in at_terminal("--json")


def test_logs_stay_few_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.LOG_DIR, str(tmp_path))
    monkeypatch.setattr(logs, "MOST_BYTES", 1000)
    monkeypatch.setattr(logs, "KEPT_BYTES", 100)
    for number in range(logs.MOST_FILES + 5):
        path, file = logs.open_log(f"verb{number}")
        os.close(file)
    assert len(list(tmp_path.glob("*.log"))) == logs.MOST_FILES
    path.write_bytes(b"a" * 900 + b"b" * 150)
    logs.shorten(path)
    assert path.read_bytes() == b"[the beginning was cut off]\n" + b"b" * 100


def test_a_log_that_another_command_deleted_meanwhile_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logs.LOG_DIR, str(tmp_path))
    (tmp_path / "gone.log").symlink_to(tmp_path / "absent")  # listed, and not there to look at
    path, file = logs.open_log("try")
    os.close(file)
    assert path.exists()


class Screen(io.StringIO):
    """A terminal that keeps what was drawn."""

    def isatty(self) -> bool:
        return True


def test_a_stage_is_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    display = TerminalDisplay(screen)
    for done in range(1, 4):
        display.show(State("judge", done / 4, 10.0 * done, done, 4, 500 * done, "pairs"))
    display.end(State("judge", 1.0, 40.0, 4, 4))
    drawn = screen.getvalue()
    assert "judge" in drawn
    assert "75%" in drawn
    assert "1,500 pairs, 50 pairs/s, about 10 s left" in drawn
    display.stop()
    display.show(State("judge", 0.1, 1.0))
    assert screen.getvalue() == drawn


@pytest.mark.parametrize("arguments", [("key", "anna"), ("config", "--defaults")])
def test_a_result_that_cannot_be_written_is_told_on_one_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "lmtx_ray.cli", *arguments]
    environment = {**os.environ, "LMTX_LOG_DIR": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )
    assert ended.returncode == 1, ended
    assert f"lmtx {arguments[0]}: no space left on device" in ended.stderr.splitlines()[-1]
