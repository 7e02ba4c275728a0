"""Texts to vectors: the encoder in an actor pool, labels and documents alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_texts import row_texts_of
from lmtx_ray.corpus.text_keys import document_texts


class Embed:
    """Worker: a fragment of `documents` or of `labels` in, its `vectors` out."""

    def __init__(self, config: EncoderConfig, model: str, labels: Sequence[str] = ()) -> None:
        """`labels` are the files of the whole label set, where a label's parents are found."""
        from lmtx_ray.student.encoder import (
            Encoder,  # takes seconds to import, and the driver needs none
        )

        self._encoder = Encoder(config, model=model)
        self._encoder.check_lengths()
        self._config, self._files = config, labels
        self.expands = config.label_vectors == "aliases"

    def __call__(self, fragment: pa.Table) -> pa.Table:
        """A `vectors` table, one row for each of the fragment, in order; with vectors of aliases
        further ones of the same id behind a label's own."""
        if "label_id" in fragment.column_names:
            template = self._config.label_template
            rows = row_texts_of(fragment, template, self.expands, self._files)
            own = fragment["label_id"].cast(pa.string())
            ids = own.take(np.repeat(np.arange(len(rows)), [len(texts) for texts in rows]))
            vectors_ND = self._encoder.encode([text for texts in rows for text in texts], "label")
        else:
            ids = fragment["doc_id"]
            vectors_ND = self._encoder.encode(document_texts(fragment), "document")
        dimensions = vectors_ND.shape[1]
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.ravel()), dimensions)
        table = pa.table({"id": ids, "vector": values})
        return schemas.conform(table, schemas.vectors(dimensions))
