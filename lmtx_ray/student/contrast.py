"""Losses of text pairs. Shapes: B texts, P of the other side, R wrong for all, D dimensions."""

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
    targets_BP = batch.targets_BM.to(vectors_TD.device)
    rows, columns = targets_BP.shape
    first_BD, again_BD = texts_BD.tensor_split([rows])
    loss = in_batch_contrast(first_BD @ others_MD[:columns].T, targets_BP, temperature)
    if not len(again_BD):
        return loss
    second_MD = torch.cat([again_BD, others_MD[columns:]])
    wrong_BR = targets_BP.new_zeros(rows, len(second_MD) - columns)
    both_BM = torch.cat([targets_BP, wrong_BR], dim=1)
    return loss + in_batch_contrast(first_BD @ second_MD.T, both_BM, temperature)
