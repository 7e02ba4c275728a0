"""The run's budget as one actor that all judges ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from lmtx_ray.config.judge import BudgetConfig
from lmtx_ray.teacher.budget import Blocks, Ledger
from lmtx_ray.teacher.protocol import BudgetReached


class RemoteLedger:
    """A Budget whose Ledger is in another process."""

    def __init__(self, actor: ray.actor.ActorHandle) -> None:
        self._actor = actor

    def __repr__(self) -> str:
        return f"RemoteLedger({self._actor!r})"  # the same in every process: a kept worker is
        # known by it, and that of another start has another actor

    def take(self, requests: int, tokens: int) -> None:
        """Reserve at the ledger. Raises BudgetReached."""
        if (refused := ray.get(self._actor.take.remote(requests, tokens))) is not None:
            raise BudgetReached(refused)

    def give_back(self, requests: int, tokens: int) -> None:
        """Return what was reserved and not used."""
        ray.get(self._actor.give_back.remote(requests, tokens))


class _LedgerActor:
    """A refusal is a value here: an exception would come back as one of Ray's."""

    def __init__(self, limits: BudgetConfig, uri: str) -> None:
        self._ledger = Ledger(limits, uri)

    def take(self, requests: int, tokens: int) -> str | None:
        try:
            self._ledger.take(requests, tokens)
        except BudgetReached as refused:
            return str(refused)
        return None

    def give_back(self, requests: int, tokens: int) -> None:
        self._ledger.give_back(requests, tokens)

    def close(self) -> list[int]:
        return self._ledger.close()


@contextmanager
def shared_budget(limits: BudgetConfig, uri: str) -> Iterator[RemoteLedger | None]:
    """The budget of a step for the length of the block; None where there is no limit."""
    if not limits.is_set:
        yield None
        return
    actor = ray.remote(num_cpus=0)(_LedgerActor).remote(limits, uri)
    try:
        yield RemoteLedger(actor)
    finally:
        ray.get(actor.close.remote())
        ray.kill(actor)


def worker_budget(ledger: RemoteLedger | None) -> Blocks | None:
    """A worker's part of it."""
    return None if ledger is None else Blocks(ledger)
