"""A bundle's labels as a service needs them: by place, by key, by words, with their parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

MOST_PARENTS = 20  # a longer chain is a circle


@dataclass(frozen=True)
class Label:
    """What a user knows a label by."""

    key: str
    text: str


class LabelSet:
    """A `labels` table in memory; a label's place is its label_id."""

    def __init__(self, labels: pa.Table) -> None:
        self.keys: list[str] = labels["label_key"].to_pylist()
        self.texts: list[str] = labels["text"].to_pylist()
        self._parents: list[list[str] | None] = labels["parent_keys"].to_pylist()
        self._places = {key: place for place, key in enumerate(self.keys)}
        self._searched: list[str] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def place(self, key: str) -> int:
        """The label_id of a key; KeyError for one that is not in the set."""
        return self._places[key]

    def get(self, key: str) -> Label | None:
        """The label of a key, None for a key that is not in the set."""
        place = self._places.get(key)
        return None if place is None else Label(key, self.texts[place])

    def parents(self, key: str) -> list[Label]:
        """The way up from a label, nearest first, by each label's first parent that is known."""
        chain: list[Label] = []
        seen = {key}
        while len(chain) < MOST_PARENTS:
            parents = self._parents[self._places[key]] if key in self._places else None
            known = [parent for parent in parents or () if parent in self._places]
            if not known or known[0] in seen:
                break
            key = known[0]
            seen.add(key)
            chain.append(Label(key, self.texts[self._places[key]]))
        return chain

    def search(self, query: str, limit: int) -> list[Label]:
        """Labels whose text or key contains `query`, whatever its case: those that begin with it
        first, then the shorter, then by place. An empty query finds none."""
        wanted = query.casefold().strip()
        if not wanted:
            return []
        found = [place for place, text in enumerate(self._texts_searched()) if wanted in text]
        best = sorted(found, key=lambda place: self._rank(place, wanted))[:limit]
        return [Label(self.keys[place], self.texts[place]) for place in best]

    def _rank(self, place: int, wanted: str) -> tuple[bool, int, int]:
        text = self.texts[place]
        return not text.casefold().startswith(wanted), len(text), place

    def _texts_searched(self) -> Sequence[str]:
        if self._searched is None:
            pairs = zip(self.texts, self.keys, strict=True)
            self._searched = [f"{text}\n{key}".casefold() for text, key in pairs]
        return self._searched
