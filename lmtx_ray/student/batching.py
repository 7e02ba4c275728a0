"""Examples to training batches: a function of (examples, seed, step) and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

Ids = list[int]


@dataclass(frozen=True)
class Examples:
    """Training rows in memory. `documents` and `labels` are token ids without padding."""

    documents: list[Ids]
    positives: list[list[int]]
    targets: list[list[float]]
    hard_negatives: list[list[int]]
    labels: dict[int, Ids]

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True)
class Batch:
    """Token ids of B documents and M labels; targets_BM holds P(yes), judged_BM what was asked."""

    documents: list[Ids]
    labels: list[Ids]
    targets_BM: torch.Tensor
    judged_BM: torch.Tensor


def make_examples(
    examples: pa.Table,
    texts: dict[str, str],
    label_texts: Sequence[str],
    tokenizer: object,
    max_tokens: int,
    label_tokens: int,
) -> Examples:
    """Tokenise every document and every label that occurs, once."""
    rows = examples.to_pylist()
    used = sorted({label for row in rows for label in row["positives"] + row["hard_negatives"]})
    documents = _ids(tokenizer, [texts[row["doc_id"]] for row in rows], max_tokens)
    labels = _ids(tokenizer, [label_texts[label] for label in used], label_tokens)
    return Examples(
        documents,
        [row["positives"] for row in rows],
        [row["targets"] for row in rows],
        [row["hard_negatives"] for row in rows],
        dict(zip(used, labels, strict=True)),
    )


def _ids(tokenizer: object, texts: list[str], cut: int) -> list[Ids]:
    return tokenizer(texts, truncation=True, max_length=cut)["input_ids"] if texts else []


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


def steps_per_pass(examples: int, batch_size: int, drop_last: bool) -> int:
    """Batches in one pass over the examples, at least one."""
    full, rest = divmod(examples, batch_size)
    return max(full + (1 if rest and not drop_last else 0), 1)


def batch_rows(examples: int, batch_size: int, steps: int, seed: int, step: int) -> list[int]:
    """Rows of a step: each pass is its own permutation, cut into batches."""
    number, place = divmod(step, steps)
    order = np.random.default_rng([seed, number]).permutation(examples)
    return order[place * batch_size : (place + 1) * batch_size].tolist()


def soft_batch(examples: Examples, rows: Sequence[int], hard: int) -> Batch:
    """Batch of the default recipe: all positives, and up to `hard` judged negatives a document."""
    wanted = {label for row in rows for label in examples.positives[row]}
    wanted |= {label for row in rows for label in examples.hard_negatives[row][:hard]}
    labels = sorted(wanted)
    place = {label: column for column, label in enumerate(labels)}
    targets_BM = torch.zeros(len(rows), len(labels))
    judged_BM = torch.zeros(len(rows), len(labels), dtype=torch.bool)
    for line, row in enumerate(rows):
        for label, target in zip(examples.positives[row], examples.targets[row], strict=True):
            targets_BM[line, place[label]] = target
            judged_BM[line, place[label]] = True
        for label in examples.hard_negatives[row]:
            if label in place:
                judged_BM[line, place[label]] = True
    documents = [examples.documents[row] for row in rows]
    return Batch(documents, [examples.labels[label] for label in labels], targets_BM, judged_BM)


def paper_batch(examples: Examples, rows: Sequence[int], seed: int, step: int) -> Batch:
    """Batch of the paper recipe: one sampled positive a document, column i belonging to row i."""
    generator = np.random.default_rng([seed, step, 1])
    drawn = [int(generator.choice(examples.positives[row])) for row in rows]
    own = torch.tensor([[label in set(examples.positives[row]) for label in drawn] for row in rows])
    documents = [examples.documents[row] for row in rows]
    return Batch(documents, [examples.labels[label] for label in drawn], own.float(), own)
