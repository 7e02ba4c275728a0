"""A tagging tells how far it is within its one unit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io.stage import Stage, State
from tests.batch.tagging import document, lines, tag

ROWS, CHUNK = 1100, 512


class Kept:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[State] = []
        self.ended: list[State] = []

    def show(self, state: State) -> None:
        self.shown.append(state)

    def end(self, state: State) -> None:
        self.ended.append(state)

    def wait_for(self, rows: int) -> None:
        give_up = time.monotonic() + 60
        while not any(state.rows == rows for state in self.shown):
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_rows_and_share_of_one_unit_are_seen(
    bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(*(document(n) for n in range(ROWS))))
    display, plain, encoded = Kept(), Tagger.rank, []

    def rank(self: Tagger, documents: list[str], *found: object) -> object:
        encoded.append(len(documents))
        display.wait_for(sum(encoded))  # a chunk is encoded, and this one is seen so
        return plain(self, documents, *found)

    monkeypatch.setattr(Stage, "display", display)
    monkeypatch.setattr(Tagger, "rank", rank)
    assert tag(bundle, str(tmp_path / "in.jsonl"), str(tmp_path / "out")) == 0
    assert encoded == [CHUNK, CHUNK, ROWS - 2 * CHUNK]
    seen = {state.rows: state for state in display.shown if state.name == "tag"}
    first, second = seen[CHUNK], seen[2 * CHUNK]
    assert 0 < first.share < second.share < 1
    assert (second.what, second.done, second.total) == ("documents", 0, 1)
    (end,) = [state for state in display.ended if state.name == "tag"]
    assert (end.rows, end.share) == (ROWS, 1.0)
