"""Which service `promote` and `rollback` mean: a named or known one, never a Ray by chance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_apps.services import (
    STATE_VARIABLE,
    AddressError,
    LocalService,
    announced,
    choose,
    http_url,
    running_services,
)
from tests.serving.conftest import lmtx
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

ONE = LocalService("127.0.0.1", 8000, "127.0.0.1:6001", "/bundles/one")
TWO = LocalService("::1", 8001, "127.0.0.1:6002", "/bundles/two")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_service_is_known_while_it_runs(state: Path) -> None:
    assert running_services() == []
    with announced(ONE):
        assert running_services() == [ONE]
    assert running_services() == []


def test_a_service_that_was_killed_is_forgotten(state: Path) -> None:
    code = (
        "import os, serve_apps.services as s; "
        "one = s.announced(s.LocalService('127.0.0.1', 8000, '127.0.0.1:1', 'b')); "
        "one.__enter__(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert len(list(state.iterdir())) == 1
    (state / "strange.json").write_text("[]")
    assert running_services() == []
    assert [path.name for path in state.iterdir()] == ["strange.json"]


def test_a_folder_that_cannot_be_written_keeps_no_service_from_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, "/proc/nowhere")
    with announced(ONE):
        assert running_services() == []


def test_a_files_process_must_be_the_one_that_wrote_it(state: Path) -> None:
    with announced(ONE):
        (path,) = state.iterdir()
        entry = json.loads(path.read_text())
        entry["process"]["began"] = "1"  # the id was given to another process since
        path.write_text(json.dumps(entry))
        assert running_services() == []


def test_the_one_service_of_the_machine_needs_no_address() -> None:
    assert choose(None, [ONE], {}) == (ONE.ray, ONE)


@pytest.mark.parametrize("address", [TWO.ray, "http://[::1]:8001", "http://[::1]:8001/"])
def test_a_service_is_named_by_its_ray_or_its_url(address: str) -> None:
    assert choose(address, [ONE, TWO], {}) == (TWO.ray, TWO)


def test_a_cluster_elsewhere_is_named_or_told_by_the_environment() -> None:
    assert choose("10.0.0.1:6379", [ONE], {}) == ("10.0.0.1:6379", None)
    assert choose(None, [], {"RAY_ADDRESS": "10.0.0.1:6379"}) == ("10.0.0.1:6379", None)


@pytest.mark.parametrize(
    ("address", "services", "environment", "said"),
    [
        (None, [], {}, "no service that lmtx serve started runs"),
        (None, [ONE, TWO], {}, "2 services run here"),
        ("auto", [ONE], {}, "auto would take any Ray"),
        (None, [ONE], {"RAY_ADDRESS": "auto"}, "auto would take any Ray"),
        (None, [ONE], {"RAY_ADDRESS": "127.0.0.1:9"}, "not a service of this machine"),
        ("http://127.0.0.1:9/", [ONE], {}, "is no service that lmtx serve runs"),
    ],
)
def test_what_is_meant_is_asked_where_it_is_not_clear(
    address: str | None, services: list[LocalService], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(AddressError, match=said) as refused:
        choose(address, services, environment)
    assert "--address" in str(refused.value)
    for one in services:
        assert f"--address {one.ray} is {one.url} with {one.bundle}" in str(refused.value)


def test_urls_have_brackets_around_ipv6() -> None:
    assert http_url("::1", 80) == "http://[::1]:80/"


def test_nothing_is_done_without_a_service(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    bundle = publish_bundle(tmp_path / "bundle", save_encoder(models))
    for verb in (("promote", "--bundle", bundle), ("rollback",)):
        refused = lmtx(*verb)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert "say --address" in line


def test_a_misspelt_bundle_is_told_before_a_service_is_looked_for(tmp_path: Path) -> None:
    refused = lmtx("promote", "--bundle", str(tmp_path / "x"))
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "x: no such bundle" in line
