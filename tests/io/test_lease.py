"""One process at a time is at work on a folder, and a lost one does not stand in the way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmtx_ray.io import lease, storage
from lmtx_ray.io.lease import Held, held, is_over, me, read_lease, write_lease

HOLDING = """
import sys, time
from lmtx_ray.io.lease import held
with held(sys.argv[1]):
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.02)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "LEASE.json")


@contextmanager
def other_process(uri: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", HOLDING, uri], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"at work\n"
        yield process
    finally:
        process.kill()
        process.wait()


def elsewhere(uri: str, seconds: float) -> dict:
    """A holder on another machine."""
    holder = {**me(), "machine": "another boot", "host": "faraway", "process": 4711}
    write_lease(uri, holder, seconds)
    return holder


def test_a_second_process_is_told_who_is_at_work_and_a_killed_one_is_forgotten(uri: str) -> None:
    with other_process(uri) as first:
        who = f"{Path(uri).parent}: process {first.pid} on {socket.gethostname()} is at work here"
        for patient in (False, True):  # it is plain that it lives: nothing to wait for
            with pytest.raises(Held, match=who), held(uri, patient):
                raise AssertionError("two at once")
        first.kill()
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, its parent does not know
        with held(uri):
            assert read_lease(uri)["process"] == os.getpid()
    with held(uri):
        pass


def test_it_is_given_back_also_after_a_failure(uri: str) -> None:
    with pytest.raises(KeyError), held(uri):
        raise KeyError
    assert is_over(read_lease(uri))
    with held(uri), pytest.raises(Held), held(uri):
        raise AssertionError("two at once")


def test_a_process_number_that_was_given_out_again_is_not_the_holder(uri: str) -> None:
    write_lease(uri, {**me(), "began": "1"}, 60.0)
    with held(uri):
        pass


def test_a_lost_holder_elsewhere_is_waited_for_by_the_patient(uri: str) -> None:
    elsewhere(uri, 60.0)
    with pytest.raises(Held, match="process 4711 on faraway"), held(uri):
        raise AssertionError("two at once")
    elsewhere(uri, 0.3)
    with held(uri, patient=True) as token:
        assert read_lease(uri)["holder"] == token


def test_a_holder_elsewhere_that_renews_is_left_alone(uri: str) -> None:
    holder = elsewhere(uri, 30.0)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(0.05):
            write_lease(uri, holder, 60.0)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(Held, match="process 4711 on faraway"), held(uri, patient=True):
            raise AssertionError("two at once")
    finally:
        ended.set()
        renewing.join()
    assert read_lease(uri)["holder"] == holder["holder"]


def test_a_holder_renews_also_after_a_fault_of_the_store(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    plain, faults = storage.write_bytes, [storage.StorageError("a passing fault")]

    def write(where: str, data: bytes) -> None:
        if where == uri and faults:
            raise faults.pop()
        plain(where, data)

    with held(uri):
        monkeypatch.setattr(storage, "write_bytes", write)
        first = read_lease(uri)["expires"]
        _wait(lambda: read_lease(uri)["expires"] > first)
        assert not faults
    assert "a passing fault" in caplog.text


def test_who_lost_it_does_not_take_it_back(uri: str) -> None:
    with held(uri):
        other = elsewhere(uri, 60.0)
    assert read_lease(uri)["holder"] == other["holder"]
    assert not is_over(read_lease(uri))


def test_who_lost_it_is_told_and_a_lease_that_is_gone_is_written_again(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    told: list[str] = []
    with held(uri) as token, lease.told_of_loss(lambda: told.append(lease.lost())):
        Path(uri).unlink()
        _wait(lambda: read_lease(uri).get("holder") == token)
        assert lease.lost() == ""
        # a renewal that had looked already may write over it once
        _wait(lambda: elsewhere(uri, 60.0) and told)
        with lease.told_of_loss(lambda: told.append("at once")):
            assert told == [uri, "at once"]
    assert lease.lost() == ""


def test_a_store_that_fails_at_the_end_does_not_hide_what_happened(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(where: str) -> bytes:
        raise storage.StorageError("the store is gone")

    def work() -> None:
        with held(uri):
            monkeypatch.setattr(storage, "read_bytes", gone)
            raise KeyError("what happened")

    with pytest.raises(KeyError, match="what happened"):
        work()
    assert "the store is gone" in caplog.text


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("before", ["nobody", "one that ended"])
def test_of_several_at_the_same_moment_one_has_it(
    uri: str, monkeypatch: pytest.MonkeyPatch, conditional: bool, before: str
) -> None:
    """Also where the store ignores the condition of a write."""
    if before != "nobody":
        write_lease(uri, me(), 0.0)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.5)
    if not conditional:
        monkeypatch.setattr(storage, "put_is_conditional", lambda folder: False)
        monkeypatch.setattr(storage, "put_if_absent", lambda *to: storage.write_bytes(*to) is None)
    start = threading.Barrier(4)

    def claim(_: int) -> str:
        start.wait()
        holder = me()
        try:
            lease.claim(uri, holder)
        except Held:
            return ""
        return holder["holder"]

    with ThreadPoolExecutor(4) as pool:
        won = [token for token in pool.map(claim, range(4)) if token]
    assert won == [read_lease(uri)["holder"]]


def _wait(there: object) -> None:
    for _ in range(300):
        if there():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")
