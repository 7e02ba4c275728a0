"""Documents and tags as somebody's own programs wrote them, for tests."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from tests.tiny import TOPICS

KINDS = ("disease", "pain", "trial", "care", "risk")


def texts(count: int) -> list[tuple[str, str]]:
    """(title, text), each of one topic."""
    return [
        (
            f"A study of {TOPICS[n % 8]} {KINDS[n % 5]}",
            f"The patients of this study had {TOPICS[n % 8]} {KINDS[n % 5]} and were given a "
            f"treatment; it was the trial number {n} of its kind, and most of them did well.",
        )
        for n in range(count)
    ]


def tags() -> list[tuple[str, str]]:
    """(key, text)."""
    names = [f"{topic} {kind}" for topic in TOPICS for kind in KINDS]
    return [(f"T{n}", name) for n, name in enumerate(names)]


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_documents(path: Path, count: int = 40, **how: str) -> Path:
    rows = [(f"d{n}", title, text) for n, (title, text) in enumerate(texts(count))]
    return write_csv(path, ("Nr.", "Überschrift", "Beschreibung"), rows, **how)


def write_tags(path: Path, **how: str) -> Path:
    return write_csv(path, ("Tag-ID", "Bezeichnung"), tags(), **how)
