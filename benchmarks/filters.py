"""What a filter costs a search: seconds among some of many labels, against all of them.

    python -m benchmarks.filters [--labels N] [--dimensions D]

Random vectors and words, one thread. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.index_memory import unit_vectors
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.threads import use_threads

SHARES, ASKED, K, TRIES = (0.001, 0.01, 0.1, 0.5, 0.9), (1, 64), 100, 2
WORDS = 20_000


def seconds(work: Callable[[], object]) -> float:
    """Of CPU time, which others on the machine disturb less; the least of some tries."""
    took = []
    for _ in range(TRIES):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)


def texts(number: int, words: int, seed: int) -> list[str]:
    """Texts of so many words, of which few are usual and most are rare."""
    drawn = np.random.default_rng(seed).zipf(1.3, (number, words)) % WORDS
    return [" ".join(f"w{word}" for word in row) for row in drawn.tolist()]


def measure(labels: int, dimensions: int) -> list[dict[str, float]]:
    """A row for all labels and for each share of them."""
    use_threads(1)
    torch.set_num_threads(1)
    index = LabelIndex.build(np.concatenate(list(unit_vectors(labels, dimensions, 1))))
    lexical, documents = LexicalIndex.build(texts(labels, 4, 2)), texts(max(ASKED), 150, 3)
    queries = next(unit_vectors(max(ASKED), dimensions, 4))
    rows = []
    for share in (1.0, *SHARES):
        drawn = np.random.default_rng(5).random(labels) < share
        selection = None if share == 1.0 else Selection(labels, np.flatnonzero(drawn))
        allowed_L = None if selection is None else selection.mask_L
        row = {"share": share}
        for asked in ASKED:
            nearest = partial(index.search, queries[:asked], K, selection)
            named = partial(lexical.search, documents[:asked], K, allowed_L)
            row |= {f"dense_{asked}": seconds(nearest), f"words_{asked}": seconds(named)}
        rows.append({name: round(value, 4) for name, value in row.items()})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    given = parser.parse_args()
    rows = measure(given.labels, given.dimensions)
    print(json.dumps({"labels": given.labels, "dimensions": given.dimensions, "seconds": rows}))


if __name__ == "__main__":
    main()
