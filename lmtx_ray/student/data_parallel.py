"""One loss over all workers: each embeds its share of a batch's texts, then all see all vectors.

So every label of the batch is in every document's loss, and any number of workers computes the
gradient that one would. Documents and labels travel together, as DistributedDataParallel wants one
call of the module before one backward pass; inside the call there may be several passes.
Shapes: T texts of a batch, K of them for each of W workers, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lmtx_ray.student import batching


class TextVectors(nn.Module):
    """Token ids of texts to unit vectors, float32 [T, D] in their order, in passes of texts of like
    length within `budget` tokens; `narrow` passes compute in bfloat16."""

    def __init__(self, student: SentenceTransformer, budget: int, narrow: bool) -> None:
        super().__init__()
        self.student, self._budget, self._narrow = student, budget, narrow

    def forward(self, ids: Sequence[list[int]]) -> torch.Tensor:
        batches = batching.token_budget_batches([len(row) for row in ids], self._budget)
        device = self.student.device
        parts = []
        for places in batches:
            texts = {"input_ids": [ids[place] for place in places]}
            padded = self.student.tokenizer.pad(texts, return_tensors="pt").to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=self._narrow):
                parts.append(self.student(dict(padded))["sentence_embedding"].float())
        order = torch.tensor([place for places in batches for place in places])
        return nn.functional.normalize(torch.cat(parts)[order.argsort()], dim=1)


def joined(vectors: TextVectors, world: int) -> nn.Module:
    """`vectors` with the first worker's weights, and gradients that are the mean over workers."""
    if world == 1:
        return vectors
    # unused are weights that no pooling asks for, like those of BERT's pooler
    return DistributedDataParallel(vectors, broadcast_buffers=False, find_unused_parameters=True)


def share(texts: int, rank: int, world: int) -> list[int]:
    """Places of a worker's texts: as many for each worker, so where they run out the last one."""
    return [min(place, texts - 1) for place in range(rank, texts + -texts % world, world)]


def gathered(own_KD: torch.Tensor, texts: int, world: int) -> torch.Tensor:
    """The vectors [T, D] of all texts from each worker's `share`, for a loss that all compute."""
    if world == 1:
        return own_KD
    all_WKD = _Gather.apply(own_KD)
    return all_WKD.transpose(0, 1).reshape(-1, own_KD.shape[1])[:texts]


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
