"""Runs the jobs of `benchmarks.quality` one after the other, or side by side in processes."""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any


def quietly(options: Any, job: Any) -> Any:
    """One job, in a process that may have been started for it."""
    import torch
    import transformers

    from benchmarks.quality_jobs import run

    transformers.utils.logging.disable_progress_bar()
    if options.encoder.threads:
        torch.set_num_threads(options.encoder.threads)
    return run(options, job)


class Jobs:
    """Runs jobs side by side, and tells of each that ended."""

    def __init__(self, options: Any, workers: int, seconds: float | None) -> None:
        self._options, self._started = options, time.monotonic()
        self._until = self._started + seconds if seconds else float("inf")
        self._pool = multiprocessing.get_context("spawn").Pool(workers) if workers > 1 else None

    def run(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, list[Any]]]:
        """Each job with its rows, as they end; those that ended in time, of a pool."""
        for job, rows, seconds in self._ended(jobs):
            said = f"{job.set}, seed {job.seed}, {job.method}: {seconds:.0f} s"
            print(f"{time.monotonic() - self._started:.0f} s: {said}", file=sys.stderr, flush=True)
            yield job, rows

    def _ended(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, list[Any], float]]:
        if self._pool is None:
            yield from (quietly(self._options, job) for job in jobs)
            return
        waiting = [self._pool.apply_async(quietly, (self._options, job)) for job in jobs]
        while waiting and time.monotonic() < self._until:
            ended = [one for one in waiting if one.ready()]
            waiting = [one for one in waiting if one not in ended]
            yield from filter(None, map(self._result, ended))
            time.sleep(0.2)
        if waiting:
            print(f"out of time: {len(waiting)} jobs left out", file=sys.stderr)

    def _result(self, ended: Any) -> Any:
        """What a job gave; None, and a word, of one that failed: others took as long."""
        try:
            return ended.get()
        except Exception:  # whatever it was
            traceback.print_exc()
            return None

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()
