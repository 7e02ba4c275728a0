"""Turns a stage's Resources into Ray Data arguments: the one place that follows Ray's API here."""

from __future__ import annotations

from typing import Any

from ray.data import ActorPoolStrategy, TaskPoolStrategy

from lmtx_ray.config.resources import Resources


def as_pool(resources: Resources, calls: int = 1) -> dict[str, Any]:
    """Keyword arguments of `Dataset.map_batches` for tasks or for a pool of stateful actors, each
    called by so many threads at once."""
    threads = {
        "max_tasks_in_flight_per_actor": 2 * calls,
        "max_concurrent_calls_per_actor": calls,
        "enable_true_multi_threading": calls > 1,
    }
    if resources.actors is None:
        pool = TaskPoolStrategy()
    elif isinstance(resources.actors, int):
        pool = ActorPoolStrategy(size=resources.actors, **threads)
    else:
        low, high = resources.actors
        pool = ActorPoolStrategy(min_size=low, max_size=high, **threads)
    return {"compute": pool, "num_cpus": resources.cpus, "num_gpus": resources.gpus}
