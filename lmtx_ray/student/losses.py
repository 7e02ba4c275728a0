"""Losses over a matrix of cosines. Shapes: B documents, M labels of the batch."""

from __future__ import annotations

import torch

FAR = -10.0  # below any cosine


def suspicious(
    scores_BM: torch.Tensor, targets_BM: torch.Tensor, judged_BM: torch.Tensor, share: float
) -> torch.Tensor:
    """Unjudged labels that score above `share` of the document's best positive (NV-Retriever's
    rule): more likely unasked positives than negatives. Boolean, [B, M]."""
    best_B = scores_BM.detach().masked_fill(targets_BM <= 0, FAR).amax(dim=1, keepdim=True)
    return (~judged_BM) & (scores_BM.detach() > share * best_B)


def multi_positive_info_nce(
    scores_BM: torch.Tensor,
    targets_BM: torch.Tensor,
    judged_BM: torch.Tensor,
    temperature: float,
    mask_share: float,
) -> torch.Tensor:
    """Mean over documents of the target-weighted InfoNCE of their positives.

    Each positive stands against the negatives only: the other positives of its document and
    suspicious unjudged labels leave the denominator.

    Args:
        scores_BM: Cosines.
        targets_BM: P(yes) of accepted labels, 0 elsewhere.
        judged_BM: Whether the judge answered for this pair; its "no" are true negatives.
        temperature: Divides the cosines.
        mask_share: See `suspicious`.
    """
    positive_BM = targets_BM > 0
    left_out = positive_BM | suspicious(scores_BM, targets_BM, judged_BM, mask_share)
    logits_BM = scores_BM / temperature
    negatives_B = logits_BM.masked_fill(left_out, -torch.inf).logsumexp(dim=1, keepdim=True)
    losses_BM = torch.logaddexp(logits_BM, negatives_B) - logits_BM
    weighted = (losses_BM * targets_BM).masked_fill(~positive_BM, 0.0).sum(dim=1)
    return (weighted / targets_BM.sum(dim=1).clamp_min(1e-6)).mean()
