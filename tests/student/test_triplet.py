"""The published loss and each of its oddities switched off alone, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lmtx_ray.config.components import FitConfig
from lmtx_ray.config.recipes import PAPER
from lmtx_ray.student import batching, training
from lmtx_ray.student.triplet import Oddities, online_hard_negative_triplet

MENDED = Oddities(weight_gradient=False, inactive_weight=False, mean_over_all=False)
SCORES = [[0.5, 0.6, 0.1], [0.1, 0.9, 0.2], [0.0, 0.0, 0.8]]
NAMES = ["heart", "lung", "brain", "skin"]


def loss(odd: Oddities, scores: torch.Tensor | None = None) -> torch.Tensor:
    scores = torch.tensor(SCORES) if scores is None else scores
    own = torch.eye(3, dtype=torch.bool)
    return online_hard_negative_triplet(scores, own, margin=0.3, negatives=2, odd=odd)


def test_as_published() -> None:
    # row 0: 0.6 has hinge 0.4, and 0.1 none, which keeps logit 0
    weight = math.exp(6.0) / (math.exp(6.0) + 1.0)
    assert loss(Oddities()).item() == pytest.approx(0.4 * weight / 2 / 3, rel=1e-5)


def test_labels_outside_the_margin_lose_their_share() -> None:
    odd = Oddities(inactive_weight=False)
    assert loss(odd).item() == pytest.approx(0.4 / 2 / 3, rel=1e-5)


def test_a_document_costs_the_sum_of_its_labels() -> None:
    odd = Oddities(mean_over_all=False)
    assert loss(odd).item() == pytest.approx(2 * loss(Oddities()).item(), rel=1e-6)
    assert loss(MENDED).item() == pytest.approx(0.4 / 3, rel=1e-5)


@pytest.mark.parametrize("through", [True, False])
def test_weights_teach_only_as_published(through: bool) -> None:
    scores = torch.tensor([[0.5, 0.6, 0.4]], requires_grad=True)
    odd = Oddities(weight_gradient=through, mean_over_all=False)
    own = torch.tensor([[True, False, False]])
    online_hard_negative_triplet(scores, own, 0.3, 2, own_BM=own, odd=odd).backward()
    assert scores.grad is not None
    share = math.exp(6.0) / (math.exp(6.0) + math.exp(4.0))
    assert (scores.grad[0, 1].item() == pytest.approx(share, rel=1e-4)) != through


def test_every_right_label_is_learned_where_one_is_not_drawn() -> None:
    scores = torch.tensor([[0.2, 0.4, 0.3]])
    both = torch.tensor([[True, True, False]])
    found = online_hard_negative_triplet(scores, both, 0.3, 2, own_BM=both, odd=MENDED)
    assert found.item() == pytest.approx(((0.3 - 0.2 + 0.3) + (0.3 - 0.4 + 0.3)) / 2, rel=1e-5)


def test_a_document_without_a_right_label_costs_nothing() -> None:
    none = torch.zeros(1, 3, dtype=torch.bool)
    found = online_hard_negative_triplet(torch.ones(1, 3), none, 0.3, 2, own_BM=none, odd=MENDED)
    assert found.item() == 0.0


def row(text: str, positives: list[int], negatives: list[int]) -> dict:
    targets = [0.9] * len(positives)
    known = {"positives": positives, "targets": targets, "hard_negatives": negatives}
    return {"title": None, "text": text, **known}


ROWS = [row("heart", [0, 1], [3]), row("brain", [2], [0])]


@pytest.mark.parametrize(
    ("switched", "labels"),
    [
        ({}, 2),  # one a document, and nothing else
        ({"judged_negatives": True}, 3),  # 0 or 1, and 2; and 3, which the judge refused
        ({"one_positive": False}, 3),
        ({"one_positive": False, "judged_negatives": True}, 4),
    ],
)
def test_what_stands_in_a_batch_of_the_paper(switched: dict, labels: int) -> None:
    config = FitConfig(recipe="paper", **switched)
    drawn_zero = next(
        batch
        for step in range(50)
        if (batch := training.make_batch(ROWS, NAMES, config, step)).labels[0] == "heart"
    )
    assert len(drawn_zero.labels) == labels
    vectors = torch.nn.functional.normalize(torch.randn(2 + labels, 4), dim=1)
    assert torch.isfinite(training.batch_loss(vectors, drawn_zero, config))


def test_unjudged_labels_near_the_right_one_are_wrong_only_as_published() -> None:
    batch = batching.Batch(
        ["a"], ["x", "y"], torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]])
    )
    vectors = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6]])  # both cosines are 0.8
    costs = [
        training.batch_loss(vectors, batch, FitConfig(recipe="paper", unjudged_negatives=wrong))
        for wrong in (True, False)
    ]
    assert costs[0].item() > 0
    assert costs[1].item() == 0


def test_the_recipe_is_as_published_and_each_field_can_be_given() -> None:
    paper = FitConfig(recipe="paper")
    assert {name: getattr(paper, name) for name in PAPER} == PAPER
    mended = FitConfig(recipe="paper", warmup=0.1, drop_last=False, init="previous", clip=1.0)
    assert (mended.warmup, mended.drop_last, mended.init) == (0.1, False, "previous")
    assert mended.learning_rate == PAPER["learning_rate"]
