"""An approximate index of one shard: made beside it, and with it what it takes to be good enough.

How widely it has to look is found out where it is made. Its own vectors, moved by noise as far as
documents are from their labels, are searched exactly too, and of the widths that find the wanted
share of the true nearest the least is kept. Where none is narrow enough to be of use the file says
so, and the shard is searched exactly.
Shapes: L labels, D dimensions, S samples, B queries, K found.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np

from lmtx_ray.search import graph, inverted_lists
from lmtx_ray.search.approximate_file import (
    Settled,
    approximate_name,
    is_outdated,
    mark,
    read_settled,
)
from lmtx_ray.search.best_of import best_of
from lmtx_ray.search.index_choice import EXACT, factory_of
from lmtx_ray.search.shard_file import read_shard, shard_name
from lmtx_ray.search.singly import nearest
from lmtx_ray.search.tensor_file import overwrite, write_tensors

logger = logging.getLogger(__name__)
# Lengths added to unit vectors: cosines of 0.9, and of 0.7 or 0.5, to what they were. Documents are
# far from labels, and a walk among all of them loses what is far sooner than lists do. By these, of
# up to a million labels, both find of documents what they find of samples (`benchmarks/index.py`).
NOISE = {"ivf": (0.5, 1.0), "hnsw": (0.5, 1.7)}
SAMPLES = 256  # of each
K = 100  # nearest that are looked for; of more a wider look is taken in proportion
MOST_K = 1024  # and no more than that, or a part of the rows
PART = 16
SPARE = 16  # found beyond k, so that rounding at the edge loses none
AIM = 0.9  # of the misses that are allowed: samples are few, and others may miss more
FIRST, STEP = 4, 1.1  # of the widths that are tried
TIMES = (1, 2, 4)  # the rows: many near labels are hard to tell apart by codes


class Searcher(Protocol):
    """What both kinds can do."""

    @property
    def most(self) -> int:
        """The greatest width that is worth it."""
        ...

    def search(self, queries_BD: np.ndarray, k: int, width: int) -> np.ndarray:
        """rows_BK int64, in no order and padded with -1."""
        ...


MADE_BY: dict[str, tuple[Callable[..., None], Callable[..., Searcher]]] = {
    "ivf": (inverted_lists.build, inverted_lists.InvertedLists),
    "hnsw": (graph.build, graph.Graph),
}


class Approximate:
    """Finds rows that hold nearly all nearest of a query."""

    def __init__(self, kind: str, searcher: Searcher, settled: Settled, rows: int) -> None:
        self.kind, self.settled = kind, settled
        self._searcher, self._most_k = searcher, min(MOST_K, rows // PART)

    def search(self, queries_BD: np.ndarray, k: int) -> list[np.ndarray | None]:
        """Rows int64 of each query; None where it has to be searched exactly: for many nearest, or
        where too little was found. The same for a query alone as among others."""
        if k > self._most_k or not len(queries_BD):
            return [None] * len(queries_BD)
        width = int(np.ceil(self.settled.width * max(1, k / K)))
        if width > self._searcher.most:
            return [None] * len(queries_BD)
        found = (k + SPARE) * self.settled.times
        rows_BK = self._searcher.search(queries_BD, found, width)
        sure_B = (rows_BK >= 0).sum(axis=1) >= k
        sure_B &= np.isfinite(queries_BD).all(axis=1)
        return [
            rows[rows >= 0] if sure else None for rows, sure in zip(rows_BK, sure_B, strict=True)
        ]


def load_approximate(folder: Path, number: int, vectors_LD: np.ndarray) -> Approximate | None:
    """Of a shard's vectors; None where they are to be searched exactly.

    Raises:
        ValueError: The file is not what belongs to these vectors; the message names it.
    """
    path = folder / approximate_name(number)
    if not path.exists():
        return None
    kind, settled = read_settled(path)
    if settled.width == 0:
        return None
    if is_outdated(folder, number):
        logger.warning(
            "%s is of another version: its labels are searched exactly until a new run or `lmtx "
            "labels update` writes it anew",
            path,
        )
        return None
    searcher = MADE_BY[kind][1](path, vectors_LD)
    return Approximate(kind, searcher, settled, len(vectors_LD))


def settle(folder: Path, number: int, kind: str, recall: float) -> Settled | None:
    """Make the approximate index of a shard in its folder, and find out how widely it has to look;
    None for a shard that is to be searched exactly, of which nothing is written.

    Args:
        kind: "exact", "ivf" or "hnsw".
        recall: The share of the 100 nearest that is wanted, of near samples and of far ones.
    """
    vectors_LD = read_shard(folder / shard_name(number)).vectors_LD
    factory = factory_of(kind, *vectors_LD.shape)
    if factory == EXACT:
        return None
    build, searcher = MADE_BY[kind]
    path = folder / approximate_name(number)
    build(vectors_LD, factory, path, {**mark(kind), "settled": Settled(0, recall, 0.0).array()})
    settled = narrowest(searcher(path, vectors_LD), vectors_LD, recall, NOISE[kind])
    if settled.width:
        overwrite(path, "settled", settled.array())
    else:
        write_tensors(path, {**mark(kind), "settled": settled.array()})
    logger.log(logging.INFO if settled.width else logging.WARNING, "%s", settled.told(number))
    return settled


def narrowest(
    searcher: Searcher, vectors_LD: np.ndarray, recall: float, noises: Sequence[float]
) -> Settled:
    """The least width, of those tried, that finds a little more than `recall` of the nearest of
    samples, with each noise, with more rows told apart where no width does otherwise; or `recall`
    itself."""
    k = min(K, len(vectors_LD) // PART)
    sampled = [samples(vectors_LD, noise) for noise in noises]
    true = [nearest(vectors_LD, own, k)[0] for own in sampled]

    @cache
    def found(times: int, width: int) -> float:
        rows = [searcher.search(own, (k + SPARE) * times, width) for own in sampled]
        best = [best_of(own, vectors_LD, near, k) for own, near in zip(sampled, rows, strict=True)]
        return min(map(share, best, true))

    tried = sorted({int(FIRST * STEP**number) for number in range(150)})
    tried = [width for width in tried if width < searcher.most] + [searcher.most]
    for aim, times in product((1 - AIM * (1 - recall), recall), TIMES):
        place = bisect_left(tried, aim, key=partial(found, times))
        if place < len(tried):
            return Settled(tried[place], recall, found(times, tried[place]), times)
    return Settled(0, recall, found(TIMES[-1], tried[-1]), TIMES[-1])


def samples(vectors_LD: np.ndarray, noise: float) -> np.ndarray:
    """Rows, evenly taken, with random vectors of `noise` times their length added: float32 [S, D].
    Always the same of the same vectors."""
    places = np.linspace(0, len(vectors_LD) - 1, SAMPLES).astype(np.int64)
    chosen_SD = vectors_LD[places]
    added_SD = np.random.default_rng(0).standard_normal(chosen_SD.shape, np.float32)
    lengths_S = np.linalg.norm(chosen_SD, axis=1) / np.sqrt(chosen_SD.shape[1])
    return chosen_SD + added_SD * (noise * lengths_S)[:, None].astype(np.float32)


def share(found_SK: np.ndarray, nearest_SK: np.ndarray) -> float:
    """Of the nearest, which share was found, over all samples."""
    pairs = zip(found_SK, nearest_SK, strict=True)
    return float(np.mean([np.isin(nearest, found).mean() for found, nearest in pairs]))
