"""Candidates for each document: dense search, lexical search, and their fusion."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.search import ShortlistConfig
from lmtx_ray.corpus.text_keys import document_texts
from lmtx_ray.search import candidates
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.stages.index import matrix


class DenseShortlist:
    """Worker: a fragment of document vectors in, their nearest labels as `rankings` out."""

    expands: ClassVar[bool] = False

    def __init__(self, index: str, depth: int) -> None:
        self._files = open_bundle(index)  # held: what is mapped must not go
        self._index = LabelIndex.load(self._files.folder)
        self._depth = depth

    def __call__(self, vectors: pa.Table) -> pa.Table:
        """RANKINGS by cosine, one row for each vector, in order."""
        ids_BK, scores_BK = self._index.search(matrix(vectors), self._depth)
        return candidates.to_rankings(vectors["id"].to_pylist(), ids_BK, scores_BK)


class LexicalShortlist:
    """Worker: a fragment of documents in, the labels whose words they name out."""

    expands: ClassVar[bool] = False

    def __init__(self, index: str, depth: int) -> None:
        self._files = open_bundle(index)
        self._index = LexicalIndex.load(self._files.folder)
        self._depth = depth

    def __call__(self, documents: pa.Table) -> pa.Table:
        """RANKINGS by BM25, one row for each document, in order."""
        ids_BK, scores_BK = self._index.search(document_texts(documents), self._depth)
        return candidates.to_rankings(documents["doc_id"].to_pylist(), ids_BK, scores_BK)


class Fuse:
    """Worker: a dense and a lexical fragment of the same documents in, the hybrid out."""

    expands: ClassVar[bool] = False

    def __init__(self, config: ShortlistConfig) -> None:
        self._config = config

    def __call__(self, dense: pa.Table, lexical: pa.Table) -> pa.Table:
        """RANKINGS fused by reciprocal rank. Raises ValueError where the two are not of the same
        documents in the same order."""
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
