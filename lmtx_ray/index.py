"""Nearest labels by inner product: exact FAISS search over shards of rows.

The vectors are kept in safetensors and the FAISS structures rebuilt on load: a flat index holds
nothing more, and no index file has to be trusted. Shapes: L labels, D dimensions, B queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from safetensors.numpy import load_file, save_file

from lmtx_ray.candidates import merge_top_k

# Below this FAISS scores queries one by one; a matrix product is several times faster.
faiss.cvar.distance_compute_blas_threshold = 4


class LabelIndex:
    """Label vectors in shards; row number = label id."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._vectors = [np.ascontiguousarray(shard, dtype=np.float32) for shard in shards]
        self._shards = []
        for vectors in self._vectors:
            index = faiss.IndexFlatIP(vectors.shape[1])
            index.add(vectors)
            self._shards.append(index)
        self._starts = np.cumsum([0, *(len(vectors) for vectors in self._vectors)])

    @classmethod
    def build(cls, vectors_LD: np.ndarray, shards: int = 1) -> LabelIndex:
        """Split rows evenly into at most L shards.

        Raises:
            ValueError: No rows, or a vector that is not finite.
        """
        if len(vectors_LD) == 0:
            raise ValueError("a label index needs at least one label")
        if not np.isfinite(vectors_LD).all():
            row = int(np.flatnonzero(~np.isfinite(vectors_LD).all(axis=1))[0])
            raise ValueError(f"the vector of label {row} is not finite")
        return cls(np.array_split(vectors_LD, min(shards, len(vectors_LD))))

    def search(self, queries_BD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """ids_BK int32 and scores_BK float32, best first; padded with -1 beyond L labels."""
        queries_BD = np.ascontiguousarray(queries_BD, dtype=np.float32)
        parts = []
        for index, start in zip(self._shards, self._starts, strict=False):
            scores_BK, ids_BK = index.search(queries_BD, min(k, index.ntotal))
            parts.append((np.where(ids_BK < 0, -1, ids_BK + start), scores_BK))
        return merge_top_k(parts, k)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def save(self, folder: str | Path) -> None:
        """One safetensors file a shard."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number, vectors in enumerate(self._vectors):
            save_file({"vectors": vectors}, Path(folder) / f"shard-{number:05d}.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> LabelIndex:
        """Raises FileNotFoundError when the folder holds no shard."""
        files = sorted(Path(folder).glob("shard-*.safetensors"))
        if not files:
            raise FileNotFoundError(f"{folder}: no index shards")
        return cls([load_file(file)["vectors"] for file in files])
