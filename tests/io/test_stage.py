"""What long work tells: counted cheaply, shown at a sane pace, only the innermost stage."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lmtx_ray.io import progress, storage
from lmtx_ray.io.progress import Snapshot
from lmtx_ray.io.stage import LogDisplay, Stage, State, spoken


class Kept:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[State] = []
        self.ended: list[State] = []
        self.seen = threading.Event()

    def show(self, state: State) -> None:
        self.shown.append(state)
        self.seen.set()

    def end(self, state: State) -> None:
        self.ended.append(state)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept = Kept()
    monkeypatch.setattr(Stage, "display", kept)
    monkeypatch.setattr("lmtx_ray.io.stage.LOOK_SECONDS", 0.01)
    return kept


def test_rows_are_counted_by_the_thread_that_does_the_unit() -> None:
    with progress.working_on("u"):
        progress.ahead(10, all_of_it=True)
        progress.advance(4)
        assert progress.snapshot().parts == {"u": (4, pytest.approx(0.4))}
        progress.advance(100)  # an encoder that counts something twice
        assert progress.snapshot().parts == {"u": (10, 1.0)}
    assert progress.snapshot().parts == {}
    progress.advance(5)  # of no unit
    progress.ahead(5)


def test_what_was_not_begun_is_announced_anew() -> None:
    with progress.working_on("u"):
        progress.ahead(16)  # documents
        progress.ahead(320)  # and their pairs
        progress.advance(80)
        assert progress.snapshot().parts == {"u": (80, pytest.approx(0.25))}


def test_another_thread_can_tell_of_a_unit() -> None:
    with progress.working_on("u"):
        progress.ahead(3)
        worker = threading.Thread(target=progress.teller(), args=(2,))
        worker.start()
        worker.join()
        assert progress.snapshot().parts["u"][0] == 2


def test_a_file_that_is_read_chunk_by_chunk_tells_its_share(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * (1 << 20))
    with progress.working_on("u", 1 << 20), storage.open_input(str(tmp_path / "in")) as file:
        file.read(1 << 18)
        progress.ahead(100, all_of_it=False)
        assert progress.snapshot().parts["u"] == (0, 0.0)
        progress.advance(50)
        rows, share = progress.snapshot().parts["u"]
        assert (rows, share) == (50, pytest.approx(0.125, abs=0.07))
        file.read()
        progress.ahead(100, all_of_it=False)
        assert progress.snapshot().parts["u"][0] == 100  # the first chunk is over
        progress.advance(100)
        assert progress.snapshot().parts["u"] == (200, pytest.approx(0.99))


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            State("tag", 0.25, 10.0, 1, 4, 500, "documents"),
            "tag: 1/4 units, 500 documents, 50 documents/s, about 30 s left",
        ),
        (State("fit 1", 0.0, 7.0), "fit 1: 7 s so far"),
        (
            State("judge", 0.5, 10, 0, 1, 90, "pairs", {"pairs": 80, "answered": 40, "yes": 3}),
            "judge: 90 pairs, 9.0 pairs/s, 80 pairs asked, 8.0/s, 7.5% yes, about 10 s left",
        ),
        (
            State("judge", 0.5, 600, 0, 1, 90, "pairs", {"pairs": 80, "prompt_tokens": 9e6}, 1.5),
            "judge: 90 pairs, 0.1 pairs/s, 80 pairs asked, 0.1/s, 9,000,000 tokens, cost 1.50, "
            "about 10 min left",
        ),
    ],
)
def test_a_line_says_what_is_known(state: State, line: str) -> None:
    assert state.line() == line


def test_times_are_said_as_people_do() -> None:
    assert [spoken(n) for n in (9, 240, 7800)] == ["9 s", "4 min", "2 h 10 min"]


def test_a_log_gets_ever_fewer_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    display = LogDisplay()
    for half in range(2 * 3600):
        display.show(State("judge", 0.5, half / 2, 1, 2))
    assert 60 < len(caplog.records) < 100  # of an hour; at first every five seconds
    display.end(State("judge", 1.0, 3600, 2, 2))
    assert caplog.records[-1].getMessage() == "judge: 2/2 units, 60 min"


def test_the_innermost_stage_is_shown_with_what_its_units_have_done(display: Kept) -> None:
    look = Snapshot({"b": (30, 0.5), "elsewhere": (1000, 1.0)}, {"pairs": 7})
    with Stage("outer"), Stage("inner", {"a": 1.0, "b": 3.0}, lambda: look, "pairs") as stage:
        stage.done("a", 10)
        display.seen.clear()
        assert display.seen.wait(60)
    state = display.shown[-1]
    assert {state.name for state in display.shown} <= {"inner", "outer"}
    assert (state.name, state.done, state.total, state.rows) == ("inner", 1, 2, 40)
    assert state.share == pytest.approx((1 + 3 * 0.5) / 4)
    assert state.amounts == {"pairs": 7}
    assert [state.name for state in display.ended] == ["inner", "outer"]


def test_the_cost_so_far_follows_the_price(display: Kept) -> None:
    with Stage("judge", {"a": 1.0}, price={"prompt": 2.0, "answer": 10.0}):
        progress.count(pairs=1, prompt_tokens=1e6, answer_tokens=1e5)
    assert display.ended[-1].money == pytest.approx(3.0)


def test_who_counts_may_be_gone(display: Kept) -> None:
    def look() -> Snapshot:
        raise OSError("the board is gone")

    with Stage("judge", {"a": 1.0}, look) as stage:
        display.seen.wait(60)
        stage.done("a", 3)
    assert (display.ended[-1].share, display.ended[-1].rows) == (1.0, 3)


def test_rows_never_fall_between_a_units_end_and_the_news_of_it(display: Kept) -> None:
    posts = [Snapshot({"a": (4, 1.0)}), Snapshot({"b": (1, 0.25)})]
    stage = Stage("embed", {"a": 4.0, "b": 4.0}, look=lambda: posts.pop(0))
    stage._seen = stage._looked()
    assert stage.state().rows == 4
    stage._seen = stage._looked()
    assert (stage.state().rows, stage.state().share) == (5, pytest.approx(0.625))
    stage.done("a", 4)
    assert (stage.state().done, stage.state().rows) == (1, 5)
