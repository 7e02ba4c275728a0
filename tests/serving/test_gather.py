"""What gathers while a pass runs goes into the next one."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from serve_apps.gather import Gather, PassCancelled


class Model:
    """Doubles its items; a pass takes a moment, is remembered, and fails for a negative item."""

    def __init__(self) -> None:
        self.passes: list[list[int]] = []

    async def run(self, items: list[int]) -> list[int]:
        self.passes.append(items)
        await asyncio.sleep(0.01)
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]


async def ask(items: list[int], most: int = 10) -> tuple[Model, list[object]]:
    """All items at once; the size of an item is its value."""
    model = Model()
    gather = Gather(model.run, abs, most)
    tasks = [asyncio.create_task(gather(item)) for item in items]
    return model, await asyncio.gather(*tasks, return_exceptions=True)


def test_what_came_during_a_pass_is_one_pass() -> None:
    async def run() -> Model:
        model = Model()
        gather = Gather(model.run, lambda _: 1, most=10)
        first = asyncio.create_task(gather(1))
        await asyncio.sleep(0.005)
        rest = [asyncio.create_task(gather(item)) for item in range(2, 8)]
        assert await first == 2
        assert await asyncio.gather(*rest) == [4, 6, 8, 10, 12, 14]
        return model

    assert asyncio.run(run()).passes == [[1], [2, 3, 4, 5, 6, 7]]


def test_a_pass_is_full_at_its_size_and_a_larger_item_is_alone() -> None:
    model, results = asyncio.run(ask([4, 5, 3, 25, 9, 1, 2]))
    assert model.passes == [[4, 5], [3], [25], [9, 1], [2]]
    assert results == [8, 10, 6, 50, 18, 2, 4]


def test_an_error_is_that_of_its_pass_and_the_next_one_works() -> None:
    _, results = asyncio.run(ask([4, -6, 7]))
    assert [str(result) for result in results] == ["negative", "negative", "14"]


def test_a_caller_that_left_takes_no_place() -> None:
    async def run() -> Model:
        model = Model()
        gather = Gather(model.run, lambda _: 1, most=10)
        first, left, last = (asyncio.create_task(gather(item)) for item in (1, 2, 3))
        await asyncio.sleep(0)  # all three wait
        left.cancel()
        assert [await first, await last] == [2, 6]
        with pytest.raises(asyncio.CancelledError):
            await left
        return model

    assert [item for one in asyncio.run(run()).passes for item in one] == [1, 3]


def test_a_pass_that_is_cancelled_answers_its_callers_and_the_next_one_works() -> None:
    """As where the calls to shards are cancelled together with the caller who came first."""

    async def run() -> list[object]:
        passes: list[list[int]] = []

        async def pass_over(items: list[int]) -> list[int]:
            passes.append(items)
            await asyncio.sleep(0.01)
            if len(passes) == 1:
                raise asyncio.CancelledError
            return items

        gather = Gather(pass_over, lambda _: 1, most=2)
        tasks = [asyncio.create_task(gather(item)) for item in (1, 2, 3)]
        async with asyncio.timeout(10):
            return await asyncio.gather(*tasks, return_exceptions=True)

    *lost, answered = asyncio.run(run())
    assert [type(error) for error in lost] == [PassCancelled] * 2
    assert answered == 3


def test_a_pass_runs_in_the_context_of_no_caller() -> None:
    caller: ContextVar[str] = ContextVar("caller", default="nobody")

    async def run() -> str:
        async def pass_over(items: list[int]) -> list[str]:
            return [caller.get()] * len(items)

        caller.set("the first one")
        return await Gather(pass_over, lambda _: 1, most=2)(1)

    assert asyncio.run(run()) == "nobody"
