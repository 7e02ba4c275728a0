"""Training rows to batches, and texts to passes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch

from lmtx_ray.corpus.text_keys import document_text

LIKE = 0.8
KEPT, KEY = 1 << 25, 64  # numbers of four bytes, 128 MiB; what a text takes beside its tokens
Row = Mapping[str, Any]  # a row of EXAMPLES, with title and text of its document
Ids = Sequence[int]  # of a text's tokens


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


def packs(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions in packs of at most `budget` tokens, or one text, longest first; texts without a
    token are in none."""
    found: list[list[int]] = []
    left = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if lengths[place] > left or not found:
            found.append([])
            left = budget
        if lengths[place]:
            found[-1].append(place)
            left -= lengths[place]
    return [pack for pack in found if pack]


def like_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Positions in batches, longest first, in each of which no text is shorter than LIKE of the
    longest: padding is worth one more batch only where little of it is saved."""
    batches: list[list[int]] = []
    width = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not batches or lengths[place] < LIKE * width:
            batches.append([])
            width = lengths[place]
        batches[-1].append(place)
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


class TokenIds:
    """Token ids of texts, of which each is tokenised once as long as KEPT numbers hold them all."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self._held = tokenizer, 0
        self._known: dict[tuple[int, bytes], array[int]] = {}

    def of(self, texts: Sequence[str], cut: int) -> list[Ids]:
        """Of each text without padding, at most `cut` of them and at least one."""
        keys = [(cut, blake2b(text.encode(), digest_size=16).digest()) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if self._held > KEPT:
            new = dict(zip(keys, texts, strict=True))
            self._known.clear()
            self._held = 0
        if new:
            found = self._tokenizer([*new.values()], truncation=True, max_length=cut)["input_ids"]
            for key, row in zip(new, found, strict=True):
                self._known[key] = array("i", row or [self._tokenizer.pad_token_id])
                self._held += len(row) + KEY
        return [self._known[key] for key in keys]
