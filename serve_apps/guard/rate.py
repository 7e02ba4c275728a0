"""Token buckets, one for each key or address, the longest unused forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass
class TokenBuckets:
    """Refill `per_minute` tokens a minute up to what `burst_seconds` bring; 0 means no limit.

    A cost above a full bucket is let through once the bucket is full, on credit: a large batch
    waits its turn instead of never having one.
    """

    per_minute: int
    burst_seconds: float = 10.0
    most: int = 10_000
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    @property
    def capacity(self) -> float:
        """Tokens of a full bucket."""
        return max(1.0, self.per_minute * self.burst_seconds / 60)

    def take(self, name: str, cost: float, now: float) -> float:
        """0 if `cost` tokens were taken, else the seconds until they can be."""
        if not self.per_minute:
            return 0.0
        level, since = self._levels.pop(name, (self.capacity, now))
        level = min(self.capacity, level + max(0.0, now - since) * self.per_minute / 60)
        missing = min(cost, self.capacity) - level
        self._levels[name] = (level if missing > 0 else level - cost, now)
        while len(self._levels) > self.most:
            self._levels.popitem(last=False)
        return max(0.0, missing * 60 / self.per_minute)

    def __len__(self) -> int:
        return len(self._levels)
