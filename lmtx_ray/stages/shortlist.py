"""Candidates for each document: dense search, lexical search, and their fusion."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa

from lmtx_ray.config.components import ShortlistConfig
from lmtx_ray.corpus.documents import document_text
from lmtx_ray.io import storage
from lmtx_ray.io.node_cache import node_copy
from lmtx_ray.search import candidates
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex


def matrix(vectors: pa.Table) -> np.ndarray:
    """The `vector` column as a float32 array [N, D]."""
    column = vectors["vector"].combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), column.type.list_size).astype(np.float32, copy=False)


class DenseShortlist:
    """Worker: a fragment of document vectors in, their nearest labels as `rankings` out."""

    expands: ClassVar[bool] = False

    def __init__(self, index: str, depth: int) -> None:
        self._index = LabelIndex.load(node_copy(index))
        self._depth = depth

    def __call__(self, vectors: pa.Table) -> pa.Table:
        ids_BK, scores_BK = self._index.search(matrix(vectors), self._depth)
        return candidates.to_rankings(vectors["id"].to_pylist(), ids_BK, scores_BK)


class LexicalShortlist:
    """Worker: a fragment of documents in, the labels whose words they name out."""

    expands: ClassVar[bool] = False

    def __init__(self, labels: list[str], depth: int) -> None:
        texts = [text for uri in labels for text in storage.read_table(uri)["text"].to_pylist()]
        self._index = LexicalIndex.build(texts)
        self._depth = depth

    def __call__(self, documents: pa.Table) -> pa.Table:
        rows = documents.select(["title", "text"]).to_pylist()
        texts = [document_text(row["title"], row["text"]) for row in rows]
        ids_BK, scores_BK = self._index.search(texts, self._depth)
        return candidates.to_rankings(documents["doc_id"].to_pylist(), ids_BK, scores_BK)


class Fuse:
    """Worker: a dense and a lexical fragment of the same documents in, the hybrid out."""

    expands: ClassVar[bool] = False

    def __init__(self, config: ShortlistConfig) -> None:
        self._config = config

    def __call__(self, dense: pa.Table, lexical: pa.Table) -> pa.Table:
        doc_ids = dense["doc_id"].to_pylist()
        if lexical["doc_id"].to_pylist() != doc_ids:
            raise ValueError("dense and lexical rankings hold other documents; re-run the step")
        depth = self._config.depth
        sides = [candidates.rankings_arrays(side, depth)[0] for side in (dense, lexical)]
        weights = [self._config.dense_weight, self._config.lexical_weight]
        ids_BK, scores_BK = candidates.reciprocal_rank_fusion(
            sides, depth, weights=weights, constant=self._config.fusion_constant
        )
        return candidates.to_rankings(doc_ids, ids_BK, scores_BK)
