"""Shards that load later than the engine, or do not come at all: without a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serve_apps import engine
from serve_apps.bundles import BundleConfig, BundleError
from serve_apps.engine import Engine
from serve_apps.generation import Answer, TagCall
from serve_apps.shard import load_held

SHARDS = 2


class Handle:
    """To one part of a bundle's index, which is not there for its first `absent` calls."""

    def __init__(self, bundle: str, number: int, absent: float = 0) -> None:
        self._held, self.absent = load_held(bundle, number, SHARDS), absent

    @property
    def search(self) -> Handle:
        return self

    async def remote(self, bundle_id: str, *asked: Any) -> Any:
        self.absent -= 1
        there = self.absent < 0 and bundle_id == self._held.bundle_id
        return self._held.search(*asked) if there else None


def begin(bundle: str, handles: list[Handle], partial: bool) -> Answer:
    """What an engine answers that began with this bundle."""

    async def scenario() -> Answer:
        started = Engine.func_or_class(1, partial, handles)
        await started.reconfigure(vars(BundleConfig(bundle=bundle)))
        return await started.tag(TagCall([("", None, "heart pain")], 3))

    return asyncio.run(scenario())


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SHARD_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(engine, "CANARY_WAIT_SECONDS", 0.01)


@pytest.mark.parametrize("partial", [True, False])
def test_an_engine_waits_for_a_shard_that_loads_later(bundle: str, partial: bool) -> None:
    answer = begin(bundle, [Handle(bundle, 0), Handle(bundle, 1, absent=10)], partial)
    assert (answer.error, answer.partial, len(answer.rows[0]["labels"])) == ("", False, 3)


def test_after_its_patience_it_answers_in_part_only_where_it_may(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CANARY_PATIENCE_SECONDS", 0.1)
    never = float("inf")
    answer = begin(bundle, [Handle(bundle, 0), Handle(bundle, 1, never)], partial=True)
    assert (answer.error, answer.partial) == ("", True)
    with pytest.raises(BundleError, match="index shards"):
        begin(bundle, [Handle(bundle, 0), Handle(bundle, 1, never)], partial=False)
    with pytest.raises(BundleError, match="index shards"):
        begin(bundle, [Handle(bundle, number, never) for number in range(SHARDS)], partial=True)
