"""The file of a shard's approximate index: its name, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmtx_ray.search.index_choice import EXACT
from lmtx_ray.search.tensor_file import open_tensors

KINDS = ("ivf", "hnsw")  # an array of that name says which one it is, and of which LAYOUT
LAYOUT = 2  # of the arrays: a shard whose file has another one is searched exactly
MOST_WIDTH, MOST_TIMES = 1 << 20, 1 << 10


def approximate_name(number: int) -> str:
    """Beside the shard's own file."""
    return f"approximate-{number:05d}.safetensors"


@dataclass(frozen=True)
class Settled:
    """What the samples told: how widely to look (0: nothing narrow enough was good enough), which
    share of the nearest was wanted, which was found, and how many rows are told apart by their
    vectors for each that is asked for, as `times` as many as usual."""

    width: int
    wanted: float
    found: float
    times: int = 1

    def told(self, number: int) -> str:
        """The same for people, of a shard."""
        found = f"the approximate index of shard {number} finds {self.found:.4f} of the nearest"
        if self.width:
            more = f", of {self.times} times the rows" if self.times > 1 else ""
            return f"{found} at a width of {self.width}{more}"
        return f"{found} and not {self.wanted}: it is searched exactly"

    def array(self) -> np.ndarray:
        """As it stands in the file: float64 [4]."""
        return np.array([self.width, self.wanted, self.found, self.times], np.float64)


def mark(kind: str) -> dict[str, np.ndarray]:
    """What says which kind a file is of, and of which layout."""
    return {kind: np.full(1, LAYOUT, np.int64)}


def is_outdated(folder: Path, number: int) -> bool:
    """Whether a shard has an approximate index of another layout than this version reads."""
    path = folder / approximate_name(number)
    if not path.exists():
        return False
    arrays = open_tensors(path).arrays
    return not any(kind in arrays and arrays[kind].tolist() == [LAYOUT] for kind in KINDS)


def read_settled(path: Path) -> tuple[str, Settled]:
    """The kind of an approximate index, and what was found out about it.

    Raises:
        ValueError: It is no such file; the message names it.
    """
    arrays = open_tensors(path).arrays
    kind = next((kind for kind in KINDS if kind in arrays), EXACT)
    settled = arrays.get("settled")
    if kind == EXACT or settled is None or settled.shape != (4,) or settled.dtype != np.float64:
        raise ValueError(f"{path}: no approximate index")
    width, wanted, found, times = settled.tolist()
    shares = 0 <= wanted <= 1 and 0 <= found <= 1
    if not (0 <= width <= MOST_WIDTH and shares and 1 <= times <= MOST_TIMES):
        told = f"{found} of the nearest, where {wanted} was wanted"
        raise ValueError(f"{path}: a width of {width} and {times} rows for {told}")
    return kind, Settled(int(width), wanted, found, int(times))


def wish_of(folder: Path, shards: int) -> tuple[str, float]:
    """The kind that an index's shards have, whether or not it was good enough, and the share of the
    nearest that was wanted; exact where no shard says anything else."""
    for number in range(shards):
        path = folder / approximate_name(number)
        if path.exists():
            kind, settled = read_settled(path)
            return kind, settled.wanted
    return EXACT, 1.0
