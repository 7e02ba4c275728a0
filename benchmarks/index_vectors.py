"""Label vectors for the index benchmark: real ones, repeated with noise until there are enough.

They come from a file, from the labels of a set (a folder with `labels.jsonl.gz`), or from the
sample in this repository; what is encoded is kept in a folder.
Shapes: R real vectors, L labels, D dimensions, Q queries.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from benchmarks.plain_bundle import ENCODER, SAMPLE
from lmtx_ray.search.tensor_file import TensorWriter, open_tensors, write_tensors

NOISE = 0.3  # the length of what is added to a label's vector, of length 1: a cosine of 0.96
QUERY_NOISE = 0.7  # and to a label's vector to make a query: a cosine of 0.82
PIECE = 1 << 13  # rows


def real_vectors(file: Path | None, data: Path | None, cache: Path) -> tuple[str, np.ndarray]:
    """A name for them, and float32 unit vectors [R, D]: those of a safetensors `file` with a matrix
    `vectors`, or else encoded labels of `data`, or else of the sample."""
    if file:
        return file.name, np.asarray(open_tensors(file).arrays["vectors"], np.float32)
    folder = data or SAMPLE
    kept = cache / f"{folder.name}.safetensors"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["title"] for line in lines]
        write_tensors(kept, {"vectors": _encoded(texts)})
    return folder.name, open_tensors(kept).arrays["vectors"]


def _encoded(texts: list[str]) -> np.ndarray:
    from lmtx_ray.student.encoder import Encoder

    return Encoder(ENCODER).encode(texts, "label")


def write_vectors(path: Path, real_RD: np.ndarray, labels: int, queries: int) -> None:
    """A file with `vectors` [L, D] and `queries` [Q, D]; no process holds them all."""
    dimensions = real_RD.shape[1]
    shapes = {"vectors": ("F32", (labels, dimensions)), "queries": ("F32", (queries, dimensions))}
    asked = np.sort(np.random.default_rng(17).integers(0, labels, queries))
    with TensorWriter(path, shapes) as writer:
        for start in range(0, labels, PIECE):
            piece = label_vectors(real_RD, start, min(start + PIECE, labels))
            writer.write("vectors", piece)
            own = asked[(asked >= start) & (asked < start + PIECE)] - start
            if len(own):
                writer.write("queries", with_noise(piece[own], QUERY_NOISE, seed=start + 1))


def label_vectors(real_RD: np.ndarray, start: int, end: int) -> np.ndarray:
    """float32 unit vectors of labels `start` to `end`: the real ones as they are, and then the same
    with noise, again and again. `start` is a multiple of PIECE."""
    rows = np.arange(start, end)
    piece = real_RD[rows % len(real_RD)]
    again = rows >= len(real_RD)
    moved = with_noise(piece, NOISE, seed=start)
    return np.where(again[:, None], moved, piece)


def with_noise(vectors_ND: np.ndarray, length: float, seed: int) -> np.ndarray:
    """Unit vectors after adding random ones of a `length`."""
    draw = np.random.default_rng(seed)
    noise_ND = draw.standard_normal(vectors_ND.shape, dtype=np.float32)
    noise_ND *= length / np.sqrt(vectors_ND.shape[1])
    moved_ND = vectors_ND + noise_ND
    return moved_ND / np.linalg.norm(moved_ND, axis=1, keepdims=True)
