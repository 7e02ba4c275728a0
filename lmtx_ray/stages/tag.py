"""Batch tagging stage: the Tagger in an actor pool."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa


class TagDocuments:
    """Worker: a fragment of documents in, their `tags` out."""

    expands: ClassVar[bool] = False

    def __init__(self, bundle: str, top_k: int, min_probability: float) -> None:
        from lmtx_ray.tagger import Tagger  # takes seconds to import, and the driver needs none

        self._tagger = Tagger.load(bundle)
        self._top_k, self._min_probability = top_k, min_probability

    def __call__(self, documents: pa.Table) -> pa.Table:
        return self._tagger.tag(
            documents["doc_id"].to_pylist(),
            documents["title"].to_pylist(),
            documents["text"].to_pylist(),
            self._top_k,
            self._min_probability,
        )
