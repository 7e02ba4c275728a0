"""Losses with values worked out by hand, and batches that depend on their step alone."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.corpus import schemas
from lmtx_ray.student import batching
from lmtx_ray.student.losses import (
    multi_positive_info_nce,
    online_hard_negative_triplet,
    suspicious,
)
from tests.tiny import tokenizer


def nce(scores, targets, judged, share=0.95) -> float:
    tensors = torch.tensor(scores), torch.tensor(targets), torch.tensor(judged)
    return multi_positive_info_nce(*tensors, temperature=1.0, mask_share=share).item()


def test_a_positive_stands_against_negatives_only() -> None:
    # positives 2.0 and 1.0; the judged "no" at 0.0 is the only negative of both
    value = nce([[2.0, 1.0, 0.0]], [[1.0, 1.0, 0.0]], [[True, True, True]])
    assert value == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2)


def test_targets_weigh_the_positives() -> None:
    value = nce([[2.0, 1.0, 0.0]], [[0.9, 0.6, 0.0]], [[True, True, True]])
    expected = (0.9 * math.log1p(math.exp(-2)) + 0.6 * math.log1p(math.exp(-1))) / 1.5
    assert value == pytest.approx(expected)


def test_an_unjudged_label_near_the_best_positive_is_no_negative() -> None:
    scores, targets = torch.tensor([[1.0, 0.96, 0.94, 0.99]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    judged = torch.tensor([[True, False, False, True]])
    assert suspicious(scores, targets, judged, 0.95).tolist() == [[False, True, False, False]]
    value = nce(scores.tolist(), targets.tolist(), judged.tolist())
    assert value == pytest.approx(math.log(1 + math.exp(-0.06) + math.exp(-0.01)), abs=1e-6)


def test_a_document_whose_other_labels_are_all_masked_costs_nothing() -> None:
    assert nce([[1.0, 0.99]], [[1.0, 0.0]], [[True, False]]) == 0.0


def test_the_published_triplet_loss_by_hand() -> None:
    scores = torch.tensor([[0.5, 0.6], [0.1, 0.9]])
    own = torch.eye(2, dtype=torch.bool)
    value = online_hard_negative_triplet(scores, own, margin=0.3, negatives=2).item()
    # row 0: negative 0.6 has hinge 0.4, its own masked score none; row 1: nothing within margin
    weight = math.exp(6.0) / (math.exp(6.0) + 1.0)
    assert value == pytest.approx(0.4 * weight / 4, rel=1e-5)


def test_another_accepted_label_is_no_negative_of_the_triplet() -> None:
    scores, both = torch.tensor([[0.5, 0.6], [0.6, 0.5]]), torch.ones(2, 2, dtype=torch.bool)
    assert online_hard_negative_triplet(scores, both, margin=0.3, negatives=2).item() == 0.0


def examples() -> batching.Examples:
    table = pa.table(
        {
            "doc_id": ["a", "b", "c"],
            "positives": [[0, 1], [1], [2]],
            "targets": [[0.9, 0.6], [0.8], [0.7]],
            "hard_negatives": [[2], [3], []],
        }
    )
    texts = {"a": "heart pain", "b": "lung pain", "c": "brain pain " * 50}
    return batching.make_examples(
        schemas.conform(table, schemas.EXAMPLES),
        texts,
        ["heart", "lung", "brain", "skin", "ear"],
        tokenizer(),
        max_tokens=12,
        label_tokens=8,
    )


def test_documents_are_cut_and_only_labels_that_occur_are_kept() -> None:
    made = examples()
    assert len(made.documents[2]) == 12
    assert sorted(made.labels) == [0, 1, 2, 3]


def test_a_soft_batch_holds_every_target_and_what_was_judged() -> None:
    batch = batching.soft_batch(examples(), [0, 2], hard=1)
    assert len(batch.labels) == 3  # 0, 1 and 2: positive of one row, judged negative of the other
    assert batch.targets_BM.tolist() == [
        [pytest.approx(0.9), pytest.approx(0.6), 0.0],
        [0.0, 0.0, pytest.approx(0.7)],
    ]
    assert batch.judged_BM.tolist() == [[True, True, True], [False, False, True]]


def test_a_paper_batch_draws_one_accepted_label_a_document() -> None:
    drawn = [batching.paper_batch(examples(), [0, 1], seed=1, step=step) for step in range(20)]
    assert {tuple(map(tuple, batch.labels)) for batch in drawn} == {
        tuple(map(tuple, (examples().labels[first], examples().labels[1]))) for first in (0, 1)
    }
    for batch in drawn:
        assert batch.judged_BM.diagonal().all()
        assert batch.judged_BM[0, 1]  # label 1 is accepted for both documents


def test_a_pass_visits_every_example_once_and_each_step_can_be_redone() -> None:
    steps = batching.steps_per_pass(10, 4, drop_last=False)
    rows = [batching.batch_rows(10, 4, steps, seed=1, step=step) for step in range(2 * steps)]
    for one_pass in (rows[:steps], rows[steps:]):
        assert sorted(row for batch in one_pass for row in batch) == list(range(10))
    assert rows[:steps] != rows[steps:]
    assert batching.batch_rows(10, 4, steps, seed=1, step=4) == rows[4]
    assert batching.steps_per_pass(10, 4, drop_last=True) == 2
    assert batching.steps_per_pass(3, 4, drop_last=True) == 1


@given(st.lists(st.integers(0, 200), max_size=60), st.integers(1, 400))
def test_every_text_is_in_one_pass_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = batching.token_budget_batches(lengths, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget
