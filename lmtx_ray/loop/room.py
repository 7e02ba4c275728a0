"""Whether there is room for what stages ask of Ray, which waits for what is nowhere without end.

One actor of a pool is enough to begin; training needs all its workers at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.loop.machine import Machine, this_machine
from lmtx_ray.loop.run_config import RunConfig

logger = logging.getLogger(__name__)
CLOSE = 1e-6  # Ray counts ten-thousandths


@dataclass(frozen=True)
class Ask:
    """`count` processes, each with so many cores and GPUs; `field` is the setting that says so."""

    field: str
    cpus: float
    gpus: float
    count: int = 1

    def __str__(self) -> str:
        each = f"{self.cpus:g} CPU{'s' if self.cpus > 1 else ''}"
        gpus = f" and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        return f"{self.field} asks for {each}{gpus}" + (f", {self.count} times" * (self.count > 1))

    def places(self, node: Mapping[str, float]) -> int:
        """How many of them a node with these resources of Ray has room for."""
        shares = [node.get("CPU", 0.0) / self.cpus]
        shares += [node.get("GPU", 0.0) / self.gpus] if self.gpus else []
        return int(min(shares) + CLOSE)


def asks_of(config: RunConfig) -> list[Ask]:
    """What must find room for a run to get through."""
    stages = config.resources
    pools = {"embed": stages.embed, "shortlist": stages.shortlist}
    pools |= {"judge": stages.judge} if config.has_judge else {}
    asks = [Ask(f"resources.{name}", pool.cpus, pool.gpus) for name, pool in pools.items()]
    if config.rounds:
        workers = config.fit.workers
        least = workers if isinstance(workers, int) else workers[0]
        name = "resources.fit" if least == 1 else "fit.workers with resources.fit"
        asks.append(Ask(name, stages.fit.cpus, stages.fit.gpus or 0.0, least))
    return asks


def without_room(asks: Sequence[Ask], nodes: Sequence[Mapping[str, float]]) -> list[Ask]:
    """Those that nodes with these resources of Ray could not hold, were they empty."""
    return [ask for ask in asks if sum(map(ask.places, nodes)) < ask.count]


def check_room(config: RunConfig) -> None:
    """Refuse what would be waited for without end on this machine, where Ray is yet to be started.

    Raises:
        ConfigError: A stage asks for more than there is.
    """
    if not _is_running() and (lack := lack_here(config, this_machine())):
        raise ConfigError(lack)


def lack_here(config: RunConfig, machine: Machine) -> str:
    """What a run on this machine alone would wait for without end, in words; empty if nothing."""
    node = {"CPU": float(machine.cores), "GPU": float(len(machine.gpus))}
    lacking = without_room(asks_of(config), [node])
    return f"{lacking[0]}, and this machine has {machine}" if lacking else ""


def _is_running() -> bool:
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


def warn_of_room(config: RunConfig) -> None:
    """Say what no node of the cluster has room for by now: one that has may join."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for ask in without_room(asks_of(config), nodes):
        logger.warning("%s: the cluster has no room for it yet, and it is waited for", ask)
