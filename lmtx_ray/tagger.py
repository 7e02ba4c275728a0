"""Encoder, index and labels in one object: the only code behind batch and online tagging."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray import schemas, storage
from lmtx_ray.calibration import Calibration
from lmtx_ray.candidates import PADDING, reciprocal_rank_fusion
from lmtx_ray.config_models import EncoderConfig
from lmtx_ray.corpus import document_text
from lmtx_ray.encoder import Encoder
from lmtx_ray.index import LabelIndex
from lmtx_ray.lexical import LexicalIndex
from lmtx_ray.publish import StepOutput


class Tagger:
    """Tags documents with labels of one bundle. Every tag is in the label set."""

    def __init__(self, folder: str, description: dict[str, Any], threads: int | None) -> None:
        self.bundle_id: str = description["bundle_id"]
        settings = {**description["encoder"], "threads": threads}
        self._encoder = Encoder(EncoderConfig(**settings), model=f"{folder}/encoder")
        self._index = LabelIndex.load(f"{folder}/index")
        self._fusion = description["fusion"]
        self._lexical = LexicalIndex.load(f"{folder}/lexical") if self._fusion else None
        self._depth = description["depth"]
        self._calibration = Calibration.from_dict(description["calibration"])
        labels = storage.read_table(f"{folder}/labels.parquet")
        self._keys = labels["label_key"].to_pylist()
        self._texts = labels["text"].to_pylist()

    @classmethod
    def load(cls, bundle: str, threads: int | None = None) -> Tagger:
        """Load a bundle folder, every file checked against its manifest's SHA-256.

        Raises:
            PublishError: The folder is not a published bundle, or a file was changed.
        """
        folder = storage.local_copy(bundle)
        StepOutput(folder, "").verify()
        return cls(folder, storage.read_json(f"{folder}/bundle.json"), threads)

    def tag(
        self,
        ids: Sequence[str],
        titles: Sequence[str | None],
        texts: Sequence[str],
        top_k: int,
        min_probability: float = 0.0,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
    ) -> pa.Table:
        """A `tags` row for each document, in order.

        A document without text has no tags and the reason "empty". `allow` and `deny` are label
        keys that alone, or never, may be tags; both act on the bundle's top candidates.
        """
        documents = [document_text(title, text) for title, text in zip(titles, texts, strict=True)]
        full = [place for place, text in enumerate(documents) if text]
        ids_BK, scores_BK = self._search([documents[place] for place in full], top_k)
        by_place = dict(zip(full, range(len(full)), strict=True))
        rows = []
        for place, doc_id in enumerate(ids):
            row: dict[str, Any] = {"doc_id": doc_id, "label_keys": [], "labels": [], "scores": [],
                                   "probabilities": [], "reason": ""}  # fmt: skip
            if place in by_place:
                line = by_place[place]
                self._fill(row, ids_BK[line], scores_BK[line], top_k, min_probability, allow, deny)
            else:
                row["reason"] = "empty"
            rows.append(row)
        return schemas.conform(pa.Table.from_pylist(rows, schema=schemas.TAGS), schemas.TAGS)

    def _search(self, documents: list[str], top_k: int) -> tuple[np.ndarray, np.ndarray]:
        depth = max(self._depth, top_k)
        # one by one, so that a vector never depends on what else is in the batch
        vectors = [self._encoder.encode([text], "document") for text in documents]
        vectors_BD = np.concatenate(vectors) if vectors else np.zeros((0, self._encoder.dimensions))
        dense = self._index.search(vectors_BD, depth)
        if self._lexical is None:
            return dense
        lexical = self._lexical.search(documents, depth)
        return reciprocal_rank_fusion(
            [dense[0], lexical[0]], depth, constant=self._fusion["constant"],
            weights=[self._fusion["dense"], self._fusion["lexical"]],
        )  # fmt: skip

    def _fill(
        self, row: dict[str, Any], ids_K: np.ndarray, scores_K: np.ndarray, top_k: int,
        min_probability: float, allow: Collection[str] | None, deny: Collection[str],
    ) -> None:  # fmt: skip
        probabilities_K = self._calibration.apply(scores_K)
        for label, score, probability in zip(
            ids_K.tolist(), scores_K.tolist(), probabilities_K.tolist(), strict=True
        ):
            if label == PADDING or probability < min_probability:
                continue
            key = self._keys[label]
            if key in deny or (allow is not None and key not in allow):
                continue
            row["label_keys"].append(key)
            row["labels"].append(self._texts[label])
            row["scores"].append(score)
            row["probabilities"].append(probability)
            if len(row["scores"]) == top_k:
                return


