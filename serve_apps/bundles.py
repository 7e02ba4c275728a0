"""Which bundle a replica answers with, and how it comes to another one without a pause.

A replica holds the bundle it answers with and, while it changes, another one on standby. The new
one is loaded beside the old; told to, a replica asks its canaries and answers with it, in one
assignment. A call holds on to the generation it began with, so an old one is freed when its last
call ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

logger = logging.getLogger("lmtx.serve")


class BundleConfig(BaseModel):
    """`user_config` of the deployments: the bundle to answer with; `standby` stays loaded beside
    it; `rollback` is where `lmtx rollback` leads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str = Field(min_length=1)
    standby: str | None = None
    rollback: str | None = None


@dataclass(frozen=True)
class ReplicaState:
    """What one replica says of itself: the id of the bundle it answers with, ids of all it holds,
    the configuration it was told, what became of that ("", "loading", or what is wrong), and an
    engine's defaults for requests that leave them open."""

    replica: str
    bundle_id: str
    holds: frozenset[str]
    config: BundleConfig
    promotion: str
    about: Mapping[str, Any] = field(default_factory=dict)  # what people know the bundle by
    defaults: Mapping[str, Any] = field(default_factory=dict)


class Loaded(Protocol):
    """Anything that was loaded from a bundle."""

    @property
    def bundle_id(self) -> str:
        """The bundle's own name, which answers carry."""


G = TypeVar("G", bound=Loaded)


class BundleError(RuntimeError):
    """A bundle that must not answer; the message says why."""


class Bundles(Generic[G]):
    """The generations of one replica.

    `load(uri)` loads one, `check(generation)` says what is wrong with it ("" if nothing).
    """

    def __init__(
        self, load: Callable[[str], Awaitable[G]], check: Callable[[G], Awaitable[str]]
    ) -> None:
        self._load, self._check = load, check
        self._held: dict[str, G] = {}
        self._uri: str | None = None
        self._change: asyncio.Task[None] | None = None
        self._config: BundleConfig | None = None
        self.promotion = ""

    @property
    def ready(self) -> bool:
        """Whether there is one that answers."""
        return self._uri is not None

    @property
    def active(self) -> G:
        """The generation that answers; BundleError before the first one does."""
        if self._uri is None:
            raise BundleError("no bundle answers yet")
        return self._held[self._uri]

    def get(self, bundle_id: str) -> G | None:
        """The generation of an id, if it is held."""
        return next((held for held in self._held.values() if held.bundle_id == bundle_id), None)

    def state(self, replica: str) -> ReplicaState:
        """What to tell of this replica; BundleError before the first bundle answers."""
        active = self.active
        assert self._config is not None
        holds = frozenset(held.bundle_id for held in self._held.values())
        about = getattr(active, "about", {})
        return ReplicaState(replica, active.bundle_id, holds, self._config, self.promotion, about)

    async def apply(self, config: BundleConfig) -> None:
        """Take over a configuration. The first one is waited for; a later one goes on behind the
        calls, and `promotion` tells how it goes.

        Raises:
            BundleError: Of the first configuration neither bundle nor standby may answer.
        """
        if self._change is not None:
            self._change.cancel()
            self._change = None
        self._config = config
        if self._uri is None:
            await self._settle(config)
            if self._uri is None:
                raise BundleError(self.promotion)
        else:
            self.promotion = "loading"
            self._change = asyncio.create_task(self._settle(config))

    async def _settle(self, config: BundleConfig) -> None:
        problem = await self._try(config.bundle)
        if problem and self._uri is None and config.standby:
            await self._try(config.standby)
        elif config.standby:
            problem = problem or await self._hold(config.standby)
        keep = {config.standby, self._uri}  # what answers stays, whichever of them was refused
        self._held = {uri: held for uri, held in self._held.items() if uri in keep}
        self.promotion = problem

    async def _try(self, uri: str) -> str:
        problem = await self._hold(uri)
        if not problem and uri != self._uri:
            try:
                problem = _refusal(uri, await self._check(self._held[uri]))
            except Exception as error:
                problem = _refusal(uri, f"{type(error).__name__}: {error}")
        if not problem:
            self._uri = uri
            logger.info("answering with %s", uri)
        return problem

    async def _hold(self, uri: str) -> str:
        if uri not in self._held:
            try:
                self._held[uri] = await self._load(uri)
            except Exception as error:
                return _refusal(uri, f"{type(error).__name__}: {error}")
        return ""


def _refusal(uri: str, problem: str) -> str:
    """`problem` with the bundle's name, into the log too; "" stays ""."""
    if problem:
        problem = f"{uri}: {problem}"
        logger.warning("bundle refused: %s", problem)
    return problem
