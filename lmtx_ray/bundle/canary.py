"""Canary queries: questions a bundle carries with the answers it gave when it was made.

Whoever loads a bundle asks them first. Machines round differently, so an answer may move a little;
a wrong encoder, index, label set or calibration moves it a lot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

FILE = "canaries.json"
QUERIES, TOP_K = 8, 5
MOST_MOVED = 0.1  # of a probability
LEAST_SHARED = 0.6  # of the labels

Answer = Callable[[Sequence[str], int], pa.Table]  # (texts, top_k) -> a `tags` table


@dataclass(frozen=True)
class Canaries:
    """Texts, and for each the keys and probabilities of its first TOP_K tags."""

    texts: list[str]
    label_keys: list[list[str]]
    probabilities: list[list[float | None]]  # None where the bundle knows none

    def to_bytes(self) -> bytes:
        """The content of FILE."""
        return (json.dumps(vars(self), ensure_ascii=False, indent=1) + "\n").encode()

    def save(self, folder: Path) -> None:
        """Write FILE into a folder."""
        (folder / FILE).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, folder: str) -> Canaries:
        """Those of a bundle in a local folder."""
        return cls(**json.loads(Path(folder, FILE).read_text(encoding="utf-8")))


def make(label_texts: Sequence[str], answer: Answer) -> Canaries:
    """Canaries that ask for labels by their own texts, evenly drawn: no document leaves its corpus
    with a bundle."""
    step = max(len(label_texts) // QUERIES, 1)
    texts = list(label_texts[::step][:QUERIES])
    return of_tags(texts, answer(texts, TOP_K))


def of_tags(texts: Sequence[str], tags: pa.Table) -> Canaries:
    """Canaries that expect a `tags` table, a row for each text."""
    keys, probabilities = tags["label_keys"].to_pylist(), tags["probabilities"].to_pylist()
    return Canaries(list(texts), keys, probabilities)


def deviation(canaries: Canaries, rows: Sequence[dict[str, Any]]) -> str:
    """What is wrong with `rows` of a `tags` table, the answers to these canaries; "" if nothing."""
    answers = zip(canaries.texts, canaries.label_keys, canaries.probabilities, rows, strict=True)
    for text, keys, probabilities, row in answers:
        given = dict(zip(row["label_keys"], row["probabilities"], strict=True))
        shared = [key for key in keys if key in given]
        if len(shared) < LEAST_SHARED * len(keys):
            return f"canary {text!r}: tags {row['label_keys']}, expected {keys}"
        for key, expected in zip(keys, probabilities, strict=True):
            if key in given and _moved(given[key], expected):
                return f"canary {text!r}: {key} has {given[key]}, expected {expected}"
    return ""


def _moved(given: float | None, expected: float | None) -> bool:
    if given is None or expected is None:
        return given is not expected
    return abs(given - expected) > MOST_MOVED
