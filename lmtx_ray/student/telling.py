"""What a training says of itself as it goes on, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from lmtx_ray.io import storage
from lmtx_ray.student.data_parallel import Workers, told_by_the_first

Report = Callable[[dict[str, float]], object]
LEAST_SECONDS, SHARE = 5.0, 0.005


class Progress:
    """The small file beside the checkpoints that says how far a training is."""

    def __init__(self, work: str, total: int) -> None:
        self._uri, self._total = storage.join(work, "progress.json"), total
        self._told = time.monotonic()

    def after(self, step: int, last: bool, loss: float) -> None:
        """A step is done; it is said every LEAST_SECONDS and at the end."""
        if last or time.monotonic() - self._told > LEAST_SECONDS:
            self._told = time.monotonic()
            progress = {"step": step + 1, "of": self._total, "loss": round(loss, 4)}
            storage.write_bytes(self._uri, storage.to_json(progress))


class Reports:
    """Calls `report` with {"step", "loss", "precision_at_1", "examples_per_second"} after the first
    step, the last one, and between them at most every LEAST_SECONDS and so seldom that no more than
    SHARE of the time is spent on it.

    Ray wants a report of all workers and each waits for the others; so the first one decides how
    many steps there are between two, and all hear of it when they meet anyway.
    """

    def __init__(
        self,
        report: Report,
        workers: Workers,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report, self._workers, self._device, self._clock = report, workers, device, clock
        self._due: int | None = None
        self._steps = self._examples = 0
        self._since = clock()

    def after(self, step: int, last: bool, examples: int, values: dict[str, float]) -> None:
        """A step is done, with that many examples; `values` are its loss and precision_at_1."""
        self._steps, self._examples = self._steps + 1, self._examples + examples
        if not last and self._due is not None and step < self._due:
            return
        began = self._clock()
        seconds = max(began - self._since, 1e-9)
        rate = round(self._examples / seconds, 2)
        self._report({"step": step + 1, **values, "examples_per_second": rate})
        spent = self._clock() - began
        wanted = max(LEAST_SECONDS, spent / SHARE) / (seconds / self._steps)
        self._due = step + max(told_by_the_first(int(wanted), self._device), 1)
        self._steps = self._examples = 0
        self._since = self._clock()
