"""Verdicts to training examples, fragment by fragment of the training documents."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.student.pseudo_labels import build_examples


class BuildExamples:
    """Worker: a fragment of documents and all verdicts on them in, their examples out."""

    expands: ClassVar[bool] = True

    def __init__(self, config: PseudoLabelConfig, seed: int) -> None:
        self._config, self._seed = config, seed

    def __call__(self, documents: pa.Table, *verdicts: pa.Table) -> pa.Table:
        """EXAMPLES of the documents to train on."""
        train = documents.filter(pc.equal(documents["split"], "train"))["doc_id"]
        judged = pa.concat_tables(verdicts)
        judged = judged.filter(pc.is_in(judged["doc_id"], value_set=train.combine_chunks()))
        return build_examples(judged, self._config, self._seed)
