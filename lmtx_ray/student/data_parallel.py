"""One loss over all workers: each embeds its share of a batch's texts, then all see all vectors.

So every label of the batch is in every document's loss, and any number of workers computes the
gradient that one would. Documents and labels travel together, as DistributedDataParallel wants one
call of the module before one backward pass; inside the call there may be several passes.
Shapes: T texts of a batch, K of them for each of W workers, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lmtx_ray.config.components import FitConfig
from lmtx_ray.search.hardware import uses_bfloat16
from lmtx_ray.student import batching, packed_bert
from lmtx_ray.student.model_folder import check_lengths


@dataclass(frozen=True)
class Workers:
    """This worker's number and how many there are."""

    rank: int = 0
    world: int = 1


class TextVectors(nn.Module):
    """Tokens of texts to unit vectors: without padding where the model allows it, else in passes of
    texts of like length."""

    def __init__(self, student: SentenceTransformer, config: FitConfig) -> None:
        """Where `config` says what dropout is, the student has that from now on. Raises ConfigError
        where it cuts texts behind what the student can read."""
        super().__init__()
        inner = getattr(student[0], "auto_model", None)
        check_lengths(inner, "fit", config.max_tokens, config.label_tokens)
        self.student = student
        self._budget = config.token_budget
        self._narrow = uses_bfloat16(config.dtype)
        self._packs = packed_bert.can_pack(student)
        self._cuts = config.max_tokens, config.label_tokens
        self._known = batching.TokenIds(student.tokenizer)
        for module in student.modules():
            if config.dropout is not None and isinstance(module, nn.Dropout):
                module.p = config.dropout

    def tokens(self, documents: Sequence[str], labels: Sequence[str]) -> list[batching.Ids]:
        """Token ids of texts, documents before labels."""
        of_documents, of_labels = self._cuts
        return self._known.of(documents, of_documents) + self._known.of(labels, of_labels)

    def chunks(self, ids: Sequence[batching.Ids]) -> list[list[int]]:
        """Places of texts in parts that may be in memory at one time."""
        return batching.packs([len(row) for row in ids], self._budget)

    def forward(self, ids: Sequence[batching.Ids]) -> torch.Tensor:
        """float32 [T, D] in the order given, with gradients."""
        if self._packs:
            dtype = torch.bfloat16 if self._narrow else torch.float32
            return nn.functional.normalize(packed_bert.embeddings(self.student, ids, dtype), dim=1)
        return nn.functional.normalize(self._padded(ids), dim=1)

    def _padded(self, ids: Sequence[batching.Ids]) -> torch.Tensor:
        tokenizer, device = self.student.tokenizer, self.student.device
        batches = batching.like_lengths([len(row) for row in ids])
        parts = []
        # one context, as each casts the weights anew
        with torch.autocast(device.type, torch.bfloat16, enabled=self._narrow):
            for places in batches:
                texts = {"input_ids": [list(ids[place]) for place in places]}
                padded = tokenizer.pad(texts, return_tensors="pt").to(device)
                parts.append(self.student(dict(padded))["sentence_embedding"].float())
        order = torch.tensor([place for places in batches for place in places])
        return torch.cat(parts)[order.argsort().to(device)]


def gathered(own_KD: torch.Tensor, texts: int, workers: Workers) -> torch.Tensor:
    """The vectors [T, D] of all `texts`, of which each worker has its `share`; with gradients."""
    if workers.world == 1:
        return own_KD
    all_WKD = _Gather.apply(own_KD)
    return all_WKD.transpose(0, 1).reshape(-1, own_KD.shape[1])[:texts]


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
