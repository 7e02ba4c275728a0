"""Separate towers for `benchmarks.ablation`: labels are read by an encoder of their own.

Both begin as the same encoder. A folder holds that of documents, and beside it lies that of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lmtx_ray.config.components import FitConfig
from lmtx_ray.student.batching import Ids
from lmtx_ray.student.data_parallel import TextVectors


class LabelIds(tuple[int, ...]):
    """Token ids that the labels' tower reads."""


class Towers(TextVectors):
    """`TextVectors` of two encoders."""

    def __init__(self, of_documents: Any, of_labels: Any, config: FitConfig) -> None:
        super().__init__(of_documents, config)
        self.of_labels = TextVectors(of_labels, config)

    def tokens(self, documents: Sequence[str], labels: Sequence[str]) -> list[Ids]:
        """Token ids of texts, documents before labels."""
        of_labels = [LabelIds(row) for row in self.of_labels.tokens([], labels)]
        return [*super().tokens(documents, []), *of_labels]

    def forward(self, ids: Sequence[Ids]) -> torch.Tensor:
        """float32 [T, D] in the order given, with gradients."""
        sides = [
            [place for place, row in enumerate(ids) if isinstance(row, LabelIds) == is_label]
            for is_label in (False, True)
        ]
        pairs = zip((super().forward, self.of_labels), sides, strict=True)
        parts = [read([ids[place] for place in own]) for read, own in pairs if own]
        order = torch.tensor(sides[0] + sides[1]).argsort()
        return torch.cat(parts)[order.to(parts[0].device)]


def save(vectors: TextVectors, folder: str) -> None:
    """Write an encoder, or both."""
    vectors.student.save(folder, create_model_card=False)
    if isinstance(vectors, Towers):
        vectors.of_labels.student.save(f"{folder}-labels", create_model_card=False)


def label_tower(folder: str) -> str:
    """The folder of the encoder that reads labels: that of documents, if it has none beside it."""
    own = f"{folder}-labels"
    return own if Path(own).is_dir() else folder
