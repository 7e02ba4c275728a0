"""One loss over all workers: each embeds its share of a batch's texts, then all see all vectors.

So every label of the batch is in every document's loss, and any number of workers computes the
gradient that one would. Documents and labels travel together, as DistributedDataParallel wants one
call of the module before one backward pass; inside the call there may be several passes.
Shapes: T texts of a batch, K of them for each of W workers, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lmtx_ray.config.components import FitConfig
from lmtx_ray.search.hardware import uses_bfloat16
from lmtx_ray.student import batching


@dataclass(frozen=True)
class Workers:
    """This worker's number and how many there are."""

    rank: int = 0
    world: int = 1


class TextVectors(nn.Module):
    """Texts to unit vectors, float32 [T, D], documents before labels, in passes of texts of like
    length within the token budget."""

    def __init__(self, student: SentenceTransformer, config: FitConfig) -> None:
        super().__init__()
        self.student, self._config = student, config
        self._narrow = uses_bfloat16(config.dtype)

    def forward(self, documents: list[str], labels: list[str]) -> torch.Tensor:
        """float32 [T, D] in the order given, with gradients."""
        tokenizer, device = self.student.tokenizer, self.student.device
        ids = batching.token_ids(tokenizer, documents, self._config.max_tokens)
        ids += batching.token_ids(tokenizer, labels, self._config.label_tokens)
        batches = batching.token_budget_batches(
            [len(row) for row in ids], self._config.token_budget
        )
        parts = []
        for places in batches:
            texts = {"input_ids": [ids[place] for place in places]}
            padded = tokenizer.pad(texts, return_tensors="pt").to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=self._narrow):
                parts.append(self.student(dict(padded))["sentence_embedding"].float())
        order = torch.tensor([place for places in batches for place in places])
        return nn.functional.normalize(torch.cat(parts)[order.argsort()], dim=1)


def vectors_of(
    vectors: nn.Module, documents: list[str], labels: list[str], workers: Workers
) -> torch.Tensor:
    """The vectors [T, D] of all texts, documents first, each computed by one of the workers."""
    count = len(documents) + len(labels)
    own = share(count, workers)
    own_KD = vectors(
        [documents[place] for place in own if place < len(documents)],
        [labels[place - len(documents)] for place in own if place >= len(documents)],
    )
    if workers.world == 1:
        return own_KD
    all_WKD = _Gather.apply(own_KD)
    return all_WKD.transpose(0, 1).reshape(-1, own_KD.shape[1])[:count]


def joined(vectors: TextVectors, workers: Workers) -> nn.Module:
    """`vectors` with the first worker's weights, and gradients that are the mean over workers."""
    if workers.world == 1:
        return vectors
    # unused are weights that no pooling asks for, like those of BERT's pooler
    return DistributedDataParallel(vectors, broadcast_buffers=False, find_unused_parameters=True)


def share(texts: int, workers: Workers) -> list[int]:
    """Places of a worker's texts: as many for each worker, so where they run out the last one."""
    end = texts + -texts % workers.world
    return [min(place, texts - 1) for place in range(workers.rank, end, workers.world)]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own_KD: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(own_KD) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own_KD.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient_WKD: torch.Tensor) -> torch.Tensor:
        # each worker computes the whole loss, and of the parts' gradients the sum is meant, where
        # DistributedDataParallel takes the mean
        return gradient_WKD[distributed.get_rank()] * distributed.get_world_size()


def told_by_the_first(number: int, device: torch.device) -> int:
    """The first worker's `number`, at every worker."""
    if not distributed.is_initialized():
        return number
    told = torch.tensor([number], device=device)
    distributed.broadcast(told, src=0)
    return int(told.item())
