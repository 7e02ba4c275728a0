"""What was wrong with rows, in one line: how many were refused, and the first of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lmtx_ray.corpus.lines import CorpusError, Row

MOST_SHOWN = 3


@dataclass
class Reasons:
    """Rejected rows as they come; the first row of each of the first reasons is named."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    source: str = ""  # of the last one in `first`
    known: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, rejects: Iterable[Row], count: int) -> Reasons:
        """Of `count` rows of the `rejects` contract, of which the first are given."""
        reasons = cls()
        for row in rejects:
            reasons.add(row["source"], row["position"], row["reason"])
        reasons.count = count
        return reasons

    def add(self, source: str, position: int, reason: str) -> None:
        """One more; position 0 is the whole file."""
        self.count += 1
        if len(self.first) < MOST_SHOWN and reason not in self.known:
            self.known.add(reason)
            places = [source] if source != self.source else []
            places += [f"row {position}"] if position else []
            self.first.append(": ".join(filter(None, (" ".join(places), reason))))
            self.source = source

    def repeated(self, count: int) -> None:
        """Rows with ids that were there before, which are not named one by one."""
        if len(self.first) < MOST_SHOWN:
            self.first.append(f"{count:,} with an id that was there before")
        self.count += count

    def __str__(self) -> str:
        if not self.count:
            return "there is no row"
        rows = "1 row was" if self.count == 1 else f"{self.count:,} rows were"
        more = "; …" if self.count > len(self.first) else ""
        return f"{rows} rejected: {'; '.join(self.first)}{more}"


def no_document(uris: Iterable[str], reasons: Reasons, kind: str = "") -> CorpusError:
    """The error of inputs without a readable document."""
    return CorpusError(f"{', '.join(uris)}: no readable document{kind}; {reasons}")
