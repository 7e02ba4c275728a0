"""Sparse matrices as the extreme classification repository writes them: text, a row for each
document.

    rows columns            or     rows features labels
    3:0.9 17:0.2                   3,17 0:0.1 5:0.3
    …                              …

The left form holds gold (`tst_X_Y.txt`) or predictions with their scores, the right one gold before
features that are not read. Label numbers count the rows of the label set's file from 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from lmtx_ray.corpus.lines import MOST_RAW, BadRow, CorpusError, Row, read_text_lines
from lmtx_ray.io import storage

NAME = ".xmc.txt"  # how a file of predictions ends that is written here
ENDINGS = (".txt", ".txt.gz", ".txt.zst")


def is_sparse(uri: str) -> bool:
    """Whether a text file is such a matrix, by its first two lines."""
    if not uri.lower().endswith(ENDINGS) or not storage.stat(uri):
        return False
    head = [line for _, line in islice(read_text_lines(uri), 2)]
    if not head or isinstance(head[0], BadRow):
        return False
    numbers = head[0].split()
    if len(numbers) not in (2, 3) or not all(part.isdecimal() for part in numbers):
        return False
    return len(head) == 1 or (isinstance(head[1], str) and (":" in head[1] or not head[1].strip()))


def read_sparse(uri: str) -> Iterator[tuple[int, Row | BadRow]]:
    """(place from 1, row) of each row after the header: `label_ids`, best first, and `scores`, 1
    where a row has none. Labels of one score stay in their order.

    Raises:
        CorpusError: Another header, or more or fewer rows than it says.
    """
    lines = read_text_lines(uri)
    _, header = next(lines, (0, ""))
    numbers = [] if isinstance(header, BadRow) else header.split()
    if len(numbers) not in (2, 3) or not all(part.isdecimal() for part in numbers):
        raise CorpusError(f"{uri}: its first line is not the number of rows and of labels")
    rows, labels = int(numbers[0]), int(numbers[-1])
    place = 0
    for place, (_, line) in enumerate(lines, start=1):
        if place > rows:
            if line:
                raise CorpusError(f"{uri}: more rows than the {rows} of its first line")
            continue
        yield place, line if isinstance(line, BadRow) else _row(line, labels, len(numbers) == 3)
    if place == rows - 1:  # the last row is empty, and so is the end of the file
        yield rows, {"label_ids": [], "scores": []}
    elif place < rows:
        raise CorpusError(f"{uri}: {place} rows, and its first line says {rows}")


def _row(line: str, labels: int, with_features: bool) -> Row | BadRow:
    cells = line.split()
    if with_features:
        first = "" if not cells or ":" in cells[0] else cells[0]
        cells = [cell for cell in first.split(",") if cell]
    pairs: list[tuple[int, float]] = []
    for cell in cells:
        number, _, score = cell.partition(":")
        try:
            pairs.append((int(number), float(score) if score else 1.0))
        except ValueError:
            return BadRow(f"{cell[:40]!r} is no label:score", line[:MOST_RAW])
        if not (0 <= pairs[-1][0] < labels and math.isfinite(pairs[-1][1])):
            said = f"{cell[:40]!r} is no label:score with a label below {labels}"
            return BadRow(said, line[:MOST_RAW])
    pairs.sort(key=lambda pair: -pair[1])
    return {"label_ids": [label for label, _ in pairs], "scores": [score for _, score in pairs]}


def row_id(uri: str, row: int, ids: Sequence[str] | None) -> str:
    """The document of a row from 0: its number, or its id where the rows' ids are known. Raises
    CorpusError beyond them."""
    if ids is None:
        return str(row)
    if row >= len(ids):
        raise CorpusError(f"{uri}: row {row} of {len(ids)} documents: is it of other documents?")
    return ids[row]


def sparse_line(label_ids: Iterable[int], scores: Iterable[float]) -> str:
    """A row as text, without its end, labels ascending, as readers of this form want them. A
    float32 comes back with the same bits."""
    pairs = sorted(zip(label_ids, scores, strict=True))
    return " ".join(f"{label}:{score:.9g}" for label, score in pairs)
