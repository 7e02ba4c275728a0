"""Training examples of sources that ask nobody, fragment by fragment of the training documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.io import storage
from lmtx_ray.search import clustering
from lmtx_ray.stages.index import matrix
from lmtx_ray.student.text_examples import own_examples, segment_examples, title_examples


class TitleExamples:
    """Worker: documents, and with `centres` their vectors too, in; TITLE_EXAMPLES out."""

    expands: ClassVar[bool] = True

    def __init__(self, centres: str | None = None) -> None:
        """`centres`: the step that `build_centres` made."""
        self._scales: list[np.ndarray] = []
        if centres is not None:
            self._files = open_bundle(centres)  # held: what is mapped must not go
            self._scales = clustering.load_centres(self._files.folder)

    def __call__(self, documents: pa.Table, *vectors: pa.Table) -> pa.Table:
        """One row for each document to train on that has a title and a text."""
        clusters: list[list[int]] = [[] for _ in range(documents.num_rows)]
        if self._scales:
            own_ND = matrix(vectors[0])
            nearest = [clustering.nearest(own_ND, centres_KD) for centres_KD in self._scales]
            clusters = np.stack(nearest, axis=1).tolist()
        return title_examples(documents, clusters)


class SegmentExamples:
    """Worker: documents in, SEGMENT_EXAMPLES out."""

    expands: ClassVar[bool] = True

    def __init__(self, words: tuple[int, int]) -> None:
        self._words = words

    def __call__(self, documents: pa.Table) -> pa.Table:
        """A row for each pair of each document to train on."""
        return segment_examples(documents, self._words)


class OwnExamples:
    """Worker: documents and rankings of them in, EXAMPLES out."""

    expands: ClassVar[bool] = True

    def __init__(self, firsts: Sequence[int]) -> None:
        """`firsts`: how many labels count of each ranking."""
        self._firsts = firsts

    def __call__(self, documents: pa.Table, *rankings: pa.Table) -> pa.Table:
        """A row for each document to train on."""
        return own_examples(documents, rankings, self._firsts)


def build_centres(
    folder: Path,
    fragments: Sequence[tuple[str, str]],
    numbers: Sequence[int],
    share: float,
    seed: int,
) -> None:
    """Write centres at each scale, of a random `share` of the vectors of documents to train on.

    Args:
        fragments: URIs of each unit's documents and of their vectors.
    """
    generator = np.random.default_rng(seed)
    parts = []
    for documents, vectors in fragments:
        own_ND = matrix(storage.read_table(vectors))
        split = storage.read_table(documents, ["split"])["split"]
        train_N = pc.equal(split, "train").combine_chunks().to_numpy(zero_copy_only=False)
        parts.append(own_ND[train_N & (generator.random(len(own_ND)) < share)])
    clustering.save_centres(folder, clustering.centres(np.concatenate(parts), numbers, seed))
