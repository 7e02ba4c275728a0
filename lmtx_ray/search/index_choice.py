"""Which kind of index label vectors have: arithmetic alone, so that a plan can tell it too."""

from __future__ import annotations

import math

EXACT = "exact"
MOST_READ = 128 << 20  # bytes of an exact search of one query: some milliseconds of a core
# Of a row of a graph to others, and twice as many on the lowest level: with half of them a walk did
# not reach a tenth of the lists' centres where labels lay in dense groups.
LINKS = 32
LIST = 20  # rows to a list, about
COPIES = 2  # lists that hold a row
BLOCK = 32  # rows of a list whose codes lie together
LEAST_ROWS = 1 << 13  # fewer are searched exactly as fast


def choose(
    labels: int,
    dimensions: int,
    budget_bytes: float,
    recall: float,
    has_int8: bool,
    has_gpu: bool = False,
) -> str:
    """The kind that `auto` means: "exact", or FAISS's name of an approximate index of all labels.

    Exact as long as a query reads at most MOST_READ bytes, which is all vectors, in 8 bits where
    the processor multiplies these, and all that it reads fits in the budget; with GPUs, which read
    some TB a second, as long as it fits. Beyond that lists, which are made several times
    faster than a graph. A recall of 1 is exact whatever it takes.
    """
    read = labels * dimensions * (1 if has_int8 and not has_gpu else 4)
    most = budget_bytes if has_gpu else min(MOST_READ, budget_bytes)
    if recall >= 1 or labels < LEAST_ROWS or read <= most:
        return EXACT
    return factory_of("ivf", labels, dimensions)


def factory_of(kind: str, rows: int, dimensions: int) -> str:
    """FAISS's name for an index of a kind ("exact", "ivf" or "hnsw") over so many rows: exact for
    few of them."""
    if kind == EXACT or rows < LEAST_ROWS:
        return EXACT
    if kind == "hnsw":
        return f"HNSW{LINKS},SQ8"
    lists = 1 << round(math.log2(rows / LIST))
    books = dimensions // 2 if dimensions % 2 == 0 else dimensions
    return f"IVF{lists},PQ{books}x4fs"


def bytes_of(factory: str, rows: int, dimensions: int) -> int:
    """What an approximate index takes beside the vectors, about."""
    if factory == EXACT:
        return 0
    if factory.startswith("HNSW"):
        return _bytes_of_graph(rows, dimensions, links_of(factory))
    lists, books = lists_and_books(factory)
    padded = COPIES * rows + lists * BLOCK // 2  # each list's last block is half full on average
    return padded * ((books + 1) // 2 + 8) + _bytes_of_graph(lists, dimensions, LINKS)


def _bytes_of_graph(rows: int, dimensions: int, links: int) -> int:
    return rows * (dimensions + 4 * 2 * links + 4)


def links_of(factory: str) -> int:
    """How many links a row has, in a name such as "HNSW32,SQ8"."""
    return int(factory.removeprefix("HNSW").split(",")[0])


def lists_and_books(factory: str) -> tuple[int, int]:
    """How many lists there are in a name such as "IVF1024,PQ192x4fs", and books of codes."""
    lists, books = factory.removeprefix("IVF").removesuffix("x4fs").split(",PQ")
    return int(lists), int(books)


def kind_of(factory: str) -> str:
    """The kind that a name of FAISS is of."""
    return {"I": "ivf", "H": "hnsw"}.get(factory[:1], EXACT)
