"""The loss of the released LMTX, with what is odd in it as switches. Shapes: B documents, M labels
of the batch, P pairs of a document and one of its right labels, K hard labels of a pair."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import relu

from lmtx_ray.config.components import FitConfig
from lmtx_ray.student.losses import FAR, suspicious


@dataclass(frozen=True)
class Oddities:
    """What the released code does, each a field of `fit` (`config/recipes.py`): as published."""

    weight_gradient: bool = True
    inactive_weight: bool = True
    mean_over_all: bool = True


def paper_loss(
    scores_BM: torch.Tensor, targets_BM: torch.Tensor, judged_BM: torch.Tensor, config: FitConfig
) -> torch.Tensor:
    """`online_hard_negative_triplet` as the settings have it."""
    return online_hard_negative_triplet(
        scores_BM,
        targets_BM > 0,
        config.margin,
        config.negatives,
        own_BM=None if config.one_positive else targets_BM > 0,
        left_out_BM=suspicious(scores_BM, targets_BM, judged_BM, config.mask_share),
        odd=Oddities(config.weight_gradient, config.inactive_weight, config.mean_over_all),
    )


def online_hard_negative_triplet(
    scores_BM: torch.Tensor,
    positive_BM: torch.Tensor,
    margin: float,
    negatives: int,
    temperature: float = 0.1,
    own_BM: torch.Tensor | None = None,
    left_out_BM: torch.Tensor | None = None,
    odd: Oddities | None = None,
) -> torch.Tensor:
    """Hinge of the K hardest labels of each pair, weighted by a softmax: mean over documents.

    Args:
        scores_BM: Cosines.
        positive_BM: Which labels are right: they are no negatives.
        margin: By how much a right label has to be nearer.
        negatives: K.
        own_BM: The right labels to be learned; label i of document i without it.
        left_out_BM: Labels that are neither right nor wrong.
        odd: As published without it.
    """
    odd = odd or Oddities()
    own_BM = torch.eye(*scores_BM.shape, dtype=torch.bool) if own_BM is None else own_BM
    row_P, column_P = own_BM.to(scores_BM.device).nonzero(as_tuple=True)
    out_BM = positive_BM if left_out_BM is None else positive_BM | left_out_BM
    wrong_BM = torch.where(out_BM, scores_BM + FAR, scores_BM)
    hard_BK = wrong_BM.topk(min(negatives, scores_BM.shape[1]), dim=1).values
    hard_PK = hard_BK[row_P]
    hinge_PK = relu(hard_PK - scores_BM[row_P, column_P].unsqueeze(1) + margin)
    costs_PK = hinge_PK * _weights(hard_PK, hinge_PK > 0, temperature, odd)
    costs_P = costs_PK.mean(dim=1) if odd.mean_over_all else costs_PK.sum(dim=1)
    return (costs_P / own_BM.to(scores_BM.device).sum(dim=1)[row_P]).sum() / len(scores_BM)


def _weights(
    hard_PK: torch.Tensor, active_PK: torch.Tensor, temperature: float, odd: Oddities
) -> torch.Tensor:
    """Shares of the hard labels in each pair's cost; those of a pair without an active one are
    whatever they are, as its cost is 0."""
    logits_PK = hard_PK / temperature * active_PK
    if not odd.inactive_weight:
        some_P1 = active_PK.any(dim=1, keepdim=True)
        logits_PK = logits_PK.masked_fill(~active_PK & some_P1, -torch.inf)
    weights_PK = torch.softmax(logits_PK, dim=1)
    return weights_PK if odd.weight_gradient else weights_PK.detach()
