"""The losses and rankings that the ablation tries, on a few made-up labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.ablation import by_set, table, variants
from benchmarks.ablation_rankings import means_of, prototypes, scorers
from benchmarks.ablation_training import LOSSES, Average, graded, loss_of
from benchmarks.quality_judge import Verdicts
from benchmarks.quality_sets import Document
from lmtx_ray.config.components import FitConfig

LABELS = [f"label {n}" for n in range(9)]
ROW: dict[str, Any] = {
    **{"doc_id": "d0", "title": None, "text": "a text"},
    **{"positives": [4], "targets": [0.9], "hard_negatives": [7, 2]},
    "said": {4: 0.9, 7: 0.2, 2: 0.1, 5: 0.4},
}
OTHER = {**ROW, "positives": [5], "targets": [0.8], "hard_negatives": [], "said": {5: 0.8}}
BATCH = graded([ROW, OTHER], LABELS, negatives=1, extra=[0])


def test_a_batch_tells_of_each_pair_what_was_said_of_it() -> None:
    assert BATCH.labels == ["label 0", "label 4", "label 5", "label 7"]  # one negative, one extra
    said = [[0, 0.9, 0.4, 0.2], [0, 0, 0.8, 0]]
    assert torch.allclose(BATCH.p_yes_BM, torch.tensor(said))
    assert BATCH.judged_BM.tolist() == [[False, True, True, True], [False, False, True, False]]
    assert (BATCH.targets_BM > 0).sum() == 2


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_prefers_the_judges_order(name: str) -> None:
    right = torch.tensor([[0.0, 0.9, 0.5, 0.2], [0.1, 0.0, 0.9, 0.1]])
    wrong = right.flip(1)
    config = FitConfig()
    assert LOSSES[name](right, BATCH, config) < LOSSES[name](wrong, BATCH, config)


def test_losses_are_summed_with_their_weights_and_have_a_gradient() -> None:
    vectors = nn.functional.normalize(torch.randn(6, 4), dim=1).requires_grad_()
    one, two = (
        loss_of(vectors, BATCH, FitConfig(), {"contrast": 1.0, "margin_mse": weight})
        for weight in (0.0, 2.0)
    )
    margin = loss_of(vectors, BATCH, FitConfig(), {"margin_mse": 1.0})
    assert torch.allclose(two, one + 2 * margin)
    two.backward()
    assert vectors.grad is not None
    assert bool(vectors.grad.abs().sum() > 0)


def test_the_average_lies_between_first_and_last_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.after(100)
    average.load()
    assert float(model.weight.detach()) == pytest.approx(0.5)


def test_a_label_moves_to_its_accepted_documents_the_more_there_are() -> None:
    vectors = np.array([[0, 1], [0, 1], [1, 0]], np.float32)
    asked = Verdicts([Document(f"d{n}", None, "") for n in range(3)])
    asked.said = {"d0": {0: 0.9, 1: 0.9}, "d1": {0: 0.9}, "d2": {2: 0.1}}
    means, counts = means_of(asked, vectors, 3)
    assert means.tolist() == [[0, 1], [0, 1], [0, 0]]
    labels = np.tile(np.array([1, 0], np.float32), (3, 1))
    for _, moved in prototypes(means, labels, counts):
        assert moved[0, 1] > moved[1, 1] > moved[2, 1] == 0


def test_both_combiners_learn_what_speaks_for_a_label() -> None:
    draws = np.random.default_rng(1).normal(size=(400, 2))
    accepted = 1 / (1 + np.exp(-3 * draws[:, 0]))
    found = dict(scorers(draws, accepted, ("cosine", "lexical")))
    assert set(found) == {"learned", "trees"}
    for score in found.values():
        low, high = score(np.array([[-1.0, 0.0], [1.0, 0.0]]))
        assert low < high


def test_results_are_means_over_seeds_in_the_order_of_the_variants() -> None:
    runs = [
        {
            **{"set": "debtags", "seed": seed, "variant": name, "documents": 5},
            **{"judged_pairs": 10, "training_seconds": 1.0},
            "rows": {"dense 2": {"P@1": 10.0 * seed, "R@10": 4.0}},
        }
        for name in ("more", "base")
        for seed in (1, 2)
    ]
    found = by_set(runs)["debtags"]
    assert list(found) == ["base", "more"]
    assert found["more"]["rows"]["dense 2"]["P@1"] == 15.0
    assert "| base | 15.0 / 4.0 | – | – |" in table("debtags", found)


def test_each_variant_is_made_of_known_settings() -> None:
    for variant in variants().values():
        if variant is not None:
            FitConfig.model_validate(variant.fit)
            assert variant.change.losses.keys() <= LOSSES.keys()
