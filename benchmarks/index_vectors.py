"""Label vectors for the index benchmark: real ones, repeated with noise until there are enough.

They come from a file, from the labels of a set (a folder with `labels.jsonl.gz`), or from the
sample in this repository; what is encoded is kept in a folder. Of a set its test documents too, if
it has any (`test.jsonl.gz`).
Shapes: R real vectors, L labels, D dimensions, Q queries, T documents.
"""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.plain_bundle import ENCODER, SAMPLE
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.tensor_file import TensorWriter, open_tensors, write_tensors

NOISE = 0.3  # the length of what is added to a label's vector, of length 1: a cosine of 0.96
QUERY_NOISE = 0.7  # and to a label's vector to make a query: a cosine of 0.82
PIECE = 1 << 13  # rows
# Of each kind the file, how many lines are read, and what stands behind the title.
FILES = {"label": ("labels", None, None), "document": ("test", 512, "content")}


def real_vectors(file: Path | None, data: Path | None, cache: Path) -> tuple[str, np.ndarray]:
    """A name for them, and float32 unit vectors [R, D]: those of a safetensors `file` with a matrix
    `vectors`, or else encoded labels of `data`, or else of the sample."""
    if file:
        return file.name, np.asarray(open_tensors(file).arrays["vectors"], np.float32)
    folder = data or SAMPLE
    return folder.name, _encoded(folder, "label", cache)


def real_documents(data: Path | None, cache: Path) -> np.ndarray | None:
    """float32 unit vectors [T, D] of the first test documents of the same set, if it has any."""
    folder = data or SAMPLE
    there = (folder / "test.jsonl.gz").exists()
    return _encoded(folder, "document", cache) if there else None


def _encoded(folder: Path, kind: Literal["label", "document"], cache: Path) -> np.ndarray:
    """Unit vectors of all labels of a set, or of its first test documents, made once."""
    from lmtx_ray.student.encoder import Encoder

    name, most, further = FILES[kind]
    kept = cache / f"{folder.name}-{name}.safetensors"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in islice(lines, most)]
        texts = [document_text(row["title"], row.get(further) or "") for row in rows]
        write_tensors(kept, {"vectors": Encoder(ENCODER).encode(texts, kind)})
    return open_tensors(kept).arrays["vectors"]


def write_vectors(
    path: Path, real_RD: np.ndarray, labels: int, queries: int, documents_TD: np.ndarray
) -> None:
    """A file with `vectors` [L, D], `queries` [Q, D] and `documents` [T, D]; no process holds them
    all."""
    rows = {"vectors": labels, "queries": queries, "documents": len(documents_TD)}
    shapes = {name: ("F32", (number, real_RD.shape[1])) for name, number in rows.items()}
    asked = np.sort(np.random.default_rng(17).integers(0, labels, queries))
    with TensorWriter(path, shapes) as writer:
        writer.write("documents", documents_TD)
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
