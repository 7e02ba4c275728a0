"""The one thread that runs a vLLM engine, for callers of any thread.

An engine is no matter for two threads, and OpenMP counts its threads for each of them. Requests of
a call are added together before the next step, so what is judged alone is batched as it always was;
calls that overlap keep the engine full where each alone would drain it.
"""

from __future__ import annotations

import gc
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lmtx_ray.teacher.protocol import EngineDied

Result = TypeVar("Result")


@dataclass
class _Call:
    """Prompts of one caller, and what came back for each."""

    prompts: Sequence[list[int]]
    sampling: Any
    future: Future[list[Any]]
    tell: Callable[[int], None]
    outputs: dict[int, Any] = field(default_factory=dict)

    def is_done(self) -> bool:
        return len(self.outputs) == len(self.prompts)


def _is_end(error: Exception) -> bool:
    """Whether an engine that runs in a process of its own is no more."""
    return type(error).__name__ == "EngineDeadError"  # vLLM's, which is not imported for this


class EngineThread:
    """An engine made by `load` (a `vllm.LLM`). Raises what `load` raises."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._inbox: queue.SimpleQueue[_Call | Callable[[], None]] = queue.SimpleQueue()
        self._running: dict[str, tuple[_Call, int]] = {}
        self._names = itertools.count()
        self._is_open = True
        loaded: Future[Any] = Future()
        threading.Thread(target=self._run, args=(load, loaded), daemon=True).start()
        self.engine = loaded.result()

    def generate(
        self,
        prompts: Sequence[list[int]],
        sampling: Any,
        tell: Callable[[int], None] = lambda count: None,
    ) -> list[Any]:
        """The engine's output for each prompt of token ids, in order; `tell` is called, in the
        engine's thread, with the number of those that have just come."""
        if not prompts:
            return []
        call = _Call(prompts, sampling, Future(), tell)
        self._inbox.put(call)
        return call.future.result()

    def forget(self) -> None:
        """Empty the prefix cache; for a caller that is alone with the engine."""
        self.run(lambda engine: engine.reset_prefix_cache())

    def run(self, work: Callable[[Any], Result]) -> Result:
        """What `work` makes of the engine, in its thread and between its steps; for a caller that
        is alone with the engine. Raises what `work` raises."""
        done: Future[Result] = Future()

        def call() -> None:
            try:
                done.set_result(work(self.engine))
            except Exception as error:
                done.set_exception(error)

        self._inbox.put(call)
        return done.result()

    def close(self) -> None:
        """Let the thread end and the engine go, once what was asked before is answered."""

        def end() -> None:
            self._is_open = False
            self.engine = None

        self._inbox.put(end)

    def _run(self, load: Callable[[], Any], loaded: Future[Any]) -> None:
        try:
            engine = load()
        except BaseException as error:
            loaded.set_exception(error)
            return
        loaded.set_result(engine)
        while self._is_open or self._running:
            try:
                self._take(engine.llm_engine)
                for output in engine.llm_engine.step() if self._running else ():
                    self._give(output)
            except Exception as error:  # of the engine: every caller has to know
                self._fail(EngineDied(str(error)) if _is_end(error) else error)
        del engine
        gc.unfreeze()  # vLLM freezes what is there when an engine begins
        gc.collect()

    def _take(self, engine: Any) -> None:
        """Add the calls that wait; wait for one where there is nothing to do."""
        while (self._is_open and not self._running) or not self._inbox.empty():
            call = self._inbox.get()
            if not isinstance(call, _Call):
                call()
                continue
            for place, prompt in enumerate(call.prompts):
                name = f"{next(self._names)}"
                self._running[name] = call, place
                # of this form nothing is left to render
                asked = {"type": "token", "prompt_token_ids": prompt}
                engine.add_request(name, asked, call.sampling)

    def _give(self, output: Any) -> None:
        waiting = self._running.pop(output.request_id, None) if output.finished else None
        if waiting is None:  # more to come, or of a call that has failed meanwhile
            return
        call, place = waiting
        call.outputs[place] = output
        call.tell(1)
        if call.is_done():
            call.future.set_result([call.outputs[n] for n in range(len(call.prompts))])

    def _fail(self, error: Exception) -> None:
        calls = {id(call): call for call, _ in self._running.values()}
        self._running.clear()
        for call in calls.values():
            call.future.set_exception(error)
