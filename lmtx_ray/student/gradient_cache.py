"""Gradients of a loss over all vectors of a batch, whatever the memory (GradCache, Gao et al.).

A batch within the token budget is one pass. The texts of a larger one are embedded in chunks,
without gradients; the loss over all vectors gives each vector its gradient; and each chunk is
embedded once more, to carry these on into the weights. That is a third more work for the same
gradient: dropout is seeded by chunk, so it falls alike both times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lmtx_ray.student.batching import Ids
from lmtx_ray.student.data_parallel import TextVectors, Workers, gathered, share


def learn(
    vectors: nn.Module,
    documents: Sequence[str],
    labels: Sequence[str],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    seed: int,
    workers: Workers,
) -> torch.Tensor:
    """Adds the gradients of `loss_of` the vectors [T, D] of all texts, documents first, to the
    weights of `vectors` (a TextVectors, or several workers' joined ones); returns the loss."""
    plain = vectors.module if isinstance(vectors, DistributedDataParallel) else vectors
    assert isinstance(plain, TextVectors)
    count = len(documents) + len(labels)
    own = share(count, workers)
    ids = plain.tokens(
        [documents[place] for place in own if place < len(documents)],
        [labels[place - len(documents)] for place in own if place >= len(documents)],
    )
    chunks = plain.chunks(ids)
    if len(chunks) == 1:
        torch.manual_seed(seed)
        loss = loss_of(gathered(vectors(ids), count, workers))
        loss.backward()
        return loss.detach()
    own_KD = _without_gradients(plain, ids, chunks, seed).requires_grad_()
    loss = loss_of(gathered(own_KD, count, workers))
    loss.backward()
    assert own_KD.grad is not None
    for number, chunk in enumerate(chunks):
        with _told_at_the_end(vectors, number + 1 == len(chunks)):
            _part(vectors, ids, chunk, seed + number).backward(own_KD.grad[chunk])
    return loss.detach()


def _part(vectors: nn.Module, ids: Sequence[Ids], chunk: list[int], seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    found: torch.Tensor = vectors([ids[place] for place in chunk])
    return found


def _without_gradients(
    plain: TextVectors, ids: Sequence[Ids], chunks: list[list[int]], seed: int
) -> torch.Tensor:
    """[K, D] of the texts in the order given."""
    with torch.no_grad():
        parts = [_part(plain, ids, chunk, seed + number) for number, chunk in enumerate(chunks)]
    back = torch.tensor([place for chunk in chunks for place in chunk]).argsort()
    return torch.cat(parts)[back.to(parts[0].device)]


def _told_at_the_end(vectors: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Workers meet once in a step, however many chunks each has."""
    if last or not isinstance(vectors, DistributedDataParallel):
        return nullcontext()
    return vectors.no_sync()
