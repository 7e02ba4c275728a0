"""Training rows to batches, and texts to passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from lmtx_ray.corpus.text_keys import document_text

Row = Mapping[str, Any]  # a row of EXAMPLES, with title and text of its document


class Names(Protocol):
    """Label texts by label id."""

    def __getitem__(self, label: int, /) -> str: ...


@dataclass(frozen=True)
class Batch:
    """Texts of B documents and M labels; targets_BM holds P(yes), judged_BM what was asked."""

    documents: list[str]
    labels: list[str]
    targets_BM: torch.Tensor
    judged_BM: torch.Tensor


def token_budget_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions in batches, longest first, each within `budget` tokens including padding."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batches: list[list[int]] = []
    width = 0
    for place in order:
        if batches and (len(batches[-1]) + 1) * width <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
            width = max(lengths[place], 1)
    return batches


def soft_batch(rows: Sequence[Row], names: Names, hard: int) -> Batch:
    """Batch of the default recipe: all positives, and up to `hard` judged negatives a document."""
    wanted = {label for row in rows for label in row["positives"]}
    wanted |= {label for row in rows for label in row["hard_negatives"][:hard]}
    labels = sorted(wanted)
    place = {label: column for column, label in enumerate(labels)}
    targets_BM = torch.zeros(len(rows), len(labels))
    judged_BM = torch.zeros(len(rows), len(labels), dtype=torch.bool)
    for line, row in enumerate(rows):
        for label, target in zip(row["positives"], row["targets"], strict=True):
            targets_BM[line, place[label]] = target
            judged_BM[line, place[label]] = True
        for label in row["hard_negatives"]:
            if label in place:
                judged_BM[line, place[label]] = True
    return Batch(_texts(rows), [names[label] for label in labels], targets_BM, judged_BM)


def one_positive_batch(
    rows: Sequence[Row], names: Names, seed: int, step: int, hard: int = 0
) -> Batch:
    """One sampled positive a document, column i belonging to row i; after them up to `hard` judged
    negatives of each document.

    Targets are 1 for every label that is right for a document, not only for its own column.
    """
    generator = np.random.default_rng([seed, step, 1])
    drawn = [int(generator.choice(row["positives"])) for row in rows]
    refused = {label for row in rows for label in row["hard_negatives"][:hard]} - set(drawn)
    labels = [*drawn, *sorted(refused)]
    right = _among(labels, rows, "positives")
    wrong = _among(labels, rows, "hard_negatives")
    return Batch(_texts(rows), [names[label] for label in labels], right.float(), right | wrong)


def _among(labels: Sequence[int], rows: Sequence[Row], column: str) -> torch.Tensor:
    """Boolean [B, M]: which labels stand in a row's column."""
    own = [set(row[column]) for row in rows]
    return torch.tensor([[label in one for label in labels] for one in own])


def _texts(rows: Sequence[Row]) -> list[str]:
    return [document_text(row["title"], row["text"]) for row in rows]


def token_ids(tokenizer: Any, texts: list[str], cut: int) -> list[list[int]]:
    """Token ids of each text without padding, at most `cut` of them."""
    return tokenizer(texts, truncation=True, max_length=cut)["input_ids"] if texts else []
