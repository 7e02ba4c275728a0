"""Where workers post how far they are, for the driver to look at: one small actor for a driver.

A worker process posts once a second what it has counted, however much that is, and hears whether
the stage is halted. A worker that dies leaves its last post; a board that dies is begun anew. No
result depends on it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lmtx_ray.io.progress import Parts, Snapshot, snapshot

POST_SECONDS = 1.0
ANSWER_SECONDS = 2.0


class _Posts:
    """The last post of each worker process, by stage."""

    def __init__(self) -> None:
        self._posts: dict[str, dict[str, tuple[Parts, dict[str, float]]]] = {}
        self._halted: set[str] = set()

    def post(self, stage: str, worker: str, parts: Parts, amounts: dict[str, float]) -> bool:
        self._posts.setdefault(stage, {})[worker] = (parts, amounts)
        return stage in self._halted

    def halt(self, stage: str) -> None:
        self._halted.add(stage)

    def look(self, stage: str) -> tuple[Parts, dict[str, float]]:
        parts: Parts = {}
        amounts: dict[str, float] = {}
        for own, used in self._posts.get(stage, {}).values():
            parts |= own
            for name, amount in used.items():
                amounts[name] = amounts.get(name, 0.0) + amount
        return parts, amounts

    def forget(self, stage: str) -> None:
        self._posts.pop(stage, None)
        self._halted.discard(stage)


@dataclass(frozen=True)
class Board:
    """The board as drivers and workers hold it; `stage` is what is posted to."""

    actor: Any
    stage: str

    def __repr__(self) -> str:
        return f"Board({self.stage!r})"

    def look(self) -> Snapshot:
        """What all workers have posted. Raises GetTimeoutError where the board is busy or gone."""
        return Snapshot(*ray.get(self.actor.look.remote(self.stage), timeout=ANSWER_SECONDS))

    def halt(self) -> None:
        """Tell its workers to end early: they hear of it with their next post."""
        with suppress(Exception):
            ray.get(self.actor.halt.remote(self.stage), timeout=ANSWER_SECONDS)

    def close(self) -> None:
        """Forget the stage."""
        with suppress(Exception):
            self.actor.forget.remote(self.stage)


_boards: dict[str, Any] = {}  # one for the cluster this process is a driver of
_posters: dict[str, _Poster] = {}  # one for the stage this process works on
_posting = threading.Lock()


def board_for(stage: str) -> Board:
    """The board for a stage of this driver; it is not waited for."""
    context = ray.get_runtime_context()
    cluster = f"{context.gcs_address} {context.get_job_id()}"
    if cluster not in _boards:
        _boards.clear()
        here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=True)
        options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
        _boards[cluster] = ray.remote(**options)(_Posts).remote()
    return Board(_boards[cluster], stage)


def post_to(board: Board) -> threading.Event:
    """Let this process post to a board from now on, and to no other. What comes back is set when
    the stage is halted."""
    with _posting:  # several units may begin a stage at once
        if board.stage not in _posters:
            for poster in _posters.values():
                poster.ended.set()
            _posters.clear()
            _posters[board.stage] = _Poster(board)
        return _posters[board.stage].halted


def post_now() -> None:
    """Post at once: a unit is done, and its stage may be over with it."""
    for poster in list(_posters.values()):
        poster.post()


class _Poster:
    """Posts what this process counted since it began to."""

    def __init__(self, board: Board) -> None:
        self._board, self.ended, self.halted = board, threading.Event(), threading.Event()
        self._before, self._last = snapshot().amounts, Snapshot()
        self._worker = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.ended.wait(POST_SECONDS):
            answer = self.post()
            with suppress(Exception):
                if answer is not None and ray.get(answer, timeout=ANSWER_SECONDS):
                    self.halted.set()

    def post(self) -> Any:
        """Post how it stands; returns a reference to whether the stage is halted, or None where
        nothing is new and nothing open."""
        now = snapshot()
        before = self._before
        amounts = {name: value - before.get(name, 0) for name, value in now.amounts.items()}
        mine = Snapshot(now.parts, amounts)
        if mine == self._last and not mine.parts:
            return None
        self._last = mine
        with suppress(Exception):
            post = self._board.actor.post
            return post.remote(self._board.stage, self._worker, mine.parts, mine.amounts)
