"""Calls gather while the model is busy, and the next pass takes as many as fit.

`serve.batch` fixes a batch when its wait is over, even while the batch before still runs: under
load most of its batches hold one call. Here a batch is fixed when the model is free, and nothing
waits for company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class PassCancelled(RuntimeError):
    """Somebody cancelled what a pass waited for; its items have no results."""


class Gather(Generic[Item, Result]):
    """One pass at a time over what has gathered, oldest first.

    `run` answers each item of a pass, in order; an error of its is the error of all of them, and a
    PassCancelled where it is cancelled. It runs in an empty context: in that of the caller who came
    first, Serve would cancel the calls of a pass for all together with that one caller.

    A pass takes items up to `most` of their `size` together, and a larger item alone. Items whose
    caller is gone are left out.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        size: Callable[[Item], int],
        most: int,
    ) -> None:
        self._run, self._size, self._most = run, size, most
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._passes: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The item's result, after the pass that takes it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._passes is None or self._passes.done():
            self._passes = asyncio.create_task(self._work(), context=Context())
        return await future

    async def _work(self) -> None:
        while taken := self._take():
            try:
                results = await self._run([item for item, _ in taken])
            except asyncio.CancelledError:
                _fail(taken, PassCancelled("what a pass waited for was cancelled"))
                if (task := asyncio.current_task()) and task.cancelling():
                    raise  # this task itself is to end
                continue
            except Exception as error:
                _fail(taken, error)
                continue
            for (_, future), result in zip(taken, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        left = self._most
        while self._waiting:
            item, future = self._waiting[0]
            if not future.done():
                left -= self._size(item)
                if left < 0 and taken:
                    break
                taken.append((item, future))
            self._waiting.popleft()
        return taken


def _fail(taken: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
