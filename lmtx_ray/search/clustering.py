"""Clusters of vectors at several scales: k-means on a sample, then the nearest centre of each.

Shapes: N vectors, D dimensions, K centres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import faiss
import numpy as np

from lmtx_ray.search.singly import prefer_matrices
from lmtx_ray.search.tensor_file import open_tensors, write_tensors

FILE = "centres.safetensors"
LEAST_MEMBERS = 4  # of a cluster on average: smaller ones hold nothing but one vector
MOST_SAMPLED = 64  # vectors for each centre of the largest scale
ROUNDS = 10
SEED = 1234


def scales_of(numbers: Sequence[int], vectors: int) -> list[int]:
    """The numbers of clusters that so many vectors bear, in the order given, each once."""
    most = vectors // LEAST_MEMBERS
    return list(dict.fromkeys(min(number, most) for number in numbers if min(number, most) > 1))


def centres(vectors_ND: np.ndarray, numbers: Sequence[int], seed: int) -> list[np.ndarray]:
    """Unit centres, float32 [K, D], of each scale; the same for the same vectors and threads."""
    scales = scales_of(numbers, len(vectors_ND))
    return [unit_means(vectors_ND, number, ROUNDS, MOST_SAMPLED, seed) for number in scales]


def unit_means(
    vectors_ND: np.ndarray, number: int, rounds: int, sampled: int, seed: int = SEED
) -> np.ndarray:
    """float32 [number, D], by rounds of k-means over so many vectors for each; the same for the
    same vectors and threads, whatever the process did before."""
    prefer_matrices(vectors_ND.shape[1])
    means = faiss.Kmeans(
        vectors_ND.shape[1],
        number,
        niter=rounds,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=sampled,
    )
    means.train(np.ascontiguousarray(vectors_ND, np.float32))
    return np.ascontiguousarray(means.centroids)


def nearest(vectors_ND: np.ndarray, centres_KD: np.ndarray) -> np.ndarray:
    """int32 [N], the nearest centre of each vector by inner product."""
    queries = np.ascontiguousarray(vectors_ND, np.float32)
    if not len(queries):
        return np.zeros(0, np.int32)
    found = faiss.knn(queries, centres_KD, 1, metric=faiss.METRIC_INNER_PRODUCT)
    return found[1][:, 0].astype(np.int32)


def save_centres(folder: str | Path, scales: Sequence[np.ndarray]) -> None:
    """One file, an array for each scale."""
    arrays: Mapping[str, np.ndarray] = {f"{place:02}": one for place, one in enumerate(scales)}
    write_tensors(Path(folder) / FILE, arrays)


def load_centres(folder: str | Path) -> list[np.ndarray]:
    """What `save_centres` wrote. Raises TensorFileError for another file."""
    arrays = open_tensors(Path(folder) / FILE).arrays
    return [arrays[name] for name in sorted(arrays)]
