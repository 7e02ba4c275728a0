"""The pace at which a served judge is asked: what a server tells, and the gate of all threads."""

from __future__ import annotations

import email.utils
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lmtx_ray.teacher import http, pacing
from lmtx_ray.teacher.client import ChatClient
from lmtx_ray.teacher.pacing import Gate, Stopped, told_wait
from tests.teacher.asking import answers, asked, teacher


def test_waits_are_read_from_both_headers() -> None:
    now = 1_000_000_000.0
    date = email.utils.formatdate(now + 100, usegmt=True)
    for headers, least in [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": date}, 100),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "-3"}, 0),
    ]:
        assert least <= told_wait(headers, now) <= least + pacing.FIRST_WAIT
    assert told_wait({"retry-after": "99999"}, now) == pacing.LONGEST_TOLD
    for odd in ("soon", "nan", "inf", "", "Mon, 99 Foo"):
        assert told_wait({"retry-after": odd}, now) is None
    assert told_wait({}, now) is None


def test_the_gate_halves_once_for_all_and_opens_step_by_step() -> None:
    gate, stop = Gate(8), threading.Event()
    tickets = [gate.enter(stop) for _ in range(8)]
    for ticket in tickets:
        gate.close(0.0, ticket)
        gate.leave(answered=False)
    assert gate._allowed == 4
    for allowed in (4, 4, 4, 5):
        gate.enter(stop)
        gate.leave(answered=True)
        assert gate._allowed == allowed
    gate.close(60.0, gate.enter(stop))
    stop.set()
    with pytest.raises(Stopped):
        gate.enter(stop)


def test_who_waits_at_the_gate_leaves_when_stopped() -> None:
    gate, stop, ended = Gate(1), threading.Event(), []
    gate.close(60.0, gate.enter(stop))

    def wait() -> None:
        with pytest.raises(Stopped):
            gate.enter(stop)
        ended.append(True)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.set()
    gate.wake()
    for thread in threads:
        thread.join(10)
    assert ended == [True] * 3


def test_units_at_once_are_asked_through_one_gate(judge, monkeypatch) -> None:
    opened, again = [], threading.Event()

    class Slow(ChatClient):
        def __init__(self, *args) -> None:
            opened.append(self)
            if len(opened) > 1:
                again.set()
            again.wait(0.3)  # certificates take their time
            super().__init__(*args)

    monkeypatch.setattr(http, "ChatClient", Slow)
    asking = teacher(judge)
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(asking.judge, [asked("heart", "moon"), asked("ear", "nose")]))
    assert [answers(table) for table in said] == [["yes", "no"]] * 2
    assert len(opened) == 1
