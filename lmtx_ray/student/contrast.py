"""Losses of text pairs. Shapes: P pairs, M of the other side, T texts of a batch, D dimensions."""

from __future__ import annotations

import torch

from lmtx_ray.student.text_pairs import PairBatch


def in_batch_contrast(
    scores_BM: torch.Tensor, targets_BM: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean over texts, and over what is alike to each, of its share in a softmax over all.

    With one 1 in each row this is InfoNCE. A row without any counts 0.
    """
    shares_BM = torch.log_softmax(scores_BM / temperature, dim=1)
    count_B = targets_BM.sum(dim=1).clamp_min(1.0)
    return -((shares_BM * targets_BM).sum(dim=1) / count_B).mean()


def pair_loss(vectors_TD: torch.Tensor, batch: PairBatch, temperature: float) -> torch.Tensor:
    """The contrast of pairs and, where texts stand in the batch twice, of each text with its second
    vector against the others' and the drawn labels (MACLR's label regularisation).

    Args:
        vectors_TD: Unit vectors of the batch's documents, then of its labels.
    """
    texts_BD, others_MD = vectors_TD.tensor_split([len(batch.documents)])
    first_PD, again_PD = texts_BD.tensor_split([batch.pairs])
    targets_PM = batch.targets_BM[: batch.pairs].to(vectors_TD.device)
    alike_PP = targets_PM[:, : batch.pairs]
    loss = in_batch_contrast(first_PD @ others_MD[: batch.pairs].T, alike_PP, temperature)
    if not len(again_PD):
        return loss
    # as many columns: the second vectors stand where the other side's did
    second_MD = torch.cat([again_PD, others_MD[batch.pairs :]])
    return loss + in_batch_contrast(first_PD @ second_MD.T, targets_PM, temperature)
