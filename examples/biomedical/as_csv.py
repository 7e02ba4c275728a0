"""Writes a part of the sample as somebody's own files would be, for the tutorial.

    python examples/biomedical/as_csv.py documents.csv tags.csv

300 abstracts with semicolons between the fields, and the 640 headings that most of them name.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from draw_sample import HERE, read

DOCUMENTS, TAGS = 300, 640
LONGEST = 5  # words of a heading


def named(headings: Sequence[str], texts: Iterable[str]) -> Counter[str]:
    """How many texts hold each heading, word by word."""
    known, counts = set(headings), Counter[str]()
    for text in texts:
        words = text.split()
        spans = (
            " ".join(words[start : start + length])
            for length in range(1, LONGEST + 1)
            for start in range(len(words))
        )
        counts.update(known.intersection(spans))
    return counts


def plain(text: str) -> str:
    return " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())


def write(path: str, header: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    documents = read(HERE / "documents.jsonl.gz")[:DOCUMENTS]
    labels = {plain(label["title"]): label for label in read(HERE / "labels.jsonl.gz")}
    texts = (plain(f"{row['title']} {row['content']}") for row in documents)
    counts = named(list(labels), texts)
    order = sorted(labels, key=lambda name: (-counts[name], name))[:TAGS]
    rows = [(row["uid"], row["title"], row["content"]) for row in documents]
    write(sys.argv[1], ("Record", "Heading", "Abstract"), rows, ";")
    tags = [(labels[name]["uid"], labels[name]["title"]) for name in order]
    write(sys.argv[2], ("Tag ID", "Tag"), tags, ",")


if __name__ == "__main__":
    main()
