"""Which examples a step trains on: a function of the units' sizes, the settings and the step.

Each pass goes through the units in an order of its own. Neighbours in that order make a window, of
as many whole units as have no more than `window` examples together, and the examples of a window
are shuffled; a corpus that fits into one window is shuffled wholly. So a worker holds a window or
two, and finds the examples of any step without reading those before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lmtx_ray.student.sizes import steps_per_pass


@dataclass(frozen=True)
class Part:
    """A step's rows of one window: places in the examples of its `units`, one after another."""

    units: tuple[int, ...]
    rows: list[int]


@dataclass(frozen=True)
class Order:
    """`sizes` holds the number of examples of each unit."""

    sizes: tuple[int, ...]
    batch_size: int
    window: int
    seed: int
    drop_last: bool = False

    @property
    def steps(self) -> int:
        """Batches in one pass over the examples, at least one."""
        return steps_per_pass(sum(self.sizes), self.batch_size, self.drop_last)

    def parts(self, step: int) -> list[Part]:
        """What a step trains on: of one window, or of two or more where they meet in its batch."""
        number, place = divmod(step, self.steps)
        start, stop, seen = place * self.batch_size, (place + 1) * self.batch_size, 0
        found = []
        for window, units in enumerate(_windows(self.sizes, self.window, self.seed, number)):
            size = sum(self.sizes[unit] for unit in units)
            first, last = max(start - seen, 0), min(stop - seen, size)
            if first < last:
                order = np.random.default_rng([self.seed, number, window + 1]).permutation(size)
                found.append(Part(units, order[first:last].tolist()))
            seen += size
        return found


@lru_cache(maxsize=2)
def _windows(
    sizes: tuple[int, ...], most: int, seed: int, number: int
) -> tuple[tuple[int, ...], ...]:
    windows: list[list[int]] = []
    held = 0
    for unit in np.random.default_rng([seed, number]).permutation(len(sizes)).tolist():
        if not windows or held + sizes[unit] > most:
            windows.append([])
            held = 0
        windows[-1].append(unit)
        held += sizes[unit]
    return tuple(tuple(sorted(units)) for units in windows)
