"""Losses with values worked out by hand, and batches that depend on their step alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.student import batching
from lmtx_ray.student.losses import multi_positive_info_nce, suspicious
from lmtx_ray.student.triplet import online_hard_negative_triplet


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


NAMES = ["heart", "lung", "brain", "skin", "ear"]


def rows(*places: int) -> list[batching.Row]:
    columns = "text", "positives", "targets", "hard_negatives"
    values = [
        ("heart pain", [0, 1], [0.9, 0.6], [2]),
        ("lung pain", [1], [0.8], [3]),
        ("brain pain " * 50, [2], [0.7], []),
    ]
    made = [{"title": None, **dict(zip(columns, row, strict=True))} for row in values]
    return [made[place] for place in places]


def test_a_soft_batch_holds_every_target_and_what_was_judged() -> None:
    batch = batching.soft_batch(rows(0, 2), NAMES, hard=1)
    # 2 is a positive of one row and a judged negative of the other
    assert batch.labels == ["heart", "lung", "brain"]
    assert batch.targets_BM.tolist() == [
        [pytest.approx(0.9), pytest.approx(0.6), 0.0],
        [0.0, 0.0, pytest.approx(0.7)],
    ]
    assert batch.judged_BM.tolist() == [[True, True, True], [False, False, True]]


def test_a_published_batch_draws_one_accepted_label_a_document() -> None:
    drawn = [
        batching.one_positive_batch(rows(0, 1), NAMES, seed=1, step=step) for step in range(20)
    ]
    assert {tuple(batch.labels) for batch in drawn} == {("heart", "lung"), ("lung", "lung")}
    for batch in drawn:
        assert batch.judged_BM.diagonal().all()
        assert batch.judged_BM[0, 1]  # label 1 is accepted for both documents


@given(st.lists(st.integers(1, 200), max_size=60))
def test_texts_of_one_batch_have_like_lengths(lengths: list[int]) -> None:
    batches = batching.like_lengths(lengths)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[place] for place in batch]
        assert min(own) >= batching.LIKE * max(own)


class Letters:
    """A tokenizer, a token for each letter, that keeps what it was asked."""

    pad_token_id = 7

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: list[str], truncation: bool, max_length: int) -> dict:
        self.asked += texts
        return {"input_ids": [[ord(letter) for letter in text[:max_length]] for text in texts]}


def test_a_text_is_tokenised_once_and_anew_where_all_would_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = batching.TokenIds(letters := Letters())
    assert [list(row) for row in known.of(["ab", "", "ab"], 1)] == [[97], [7], [97]]
    assert [list(row) for row in known.of(["ab"], 2)] == [[97, 98]]  # the cut is another one
    known.of(["ab", ""], 1)
    assert letters.asked == ["ab", "", "ab"]
    monkeypatch.setattr(batching, "KEPT", 0)
    for _ in range(2):
        assert [list(row) for row in known.of(["ab", "c"], 1)] == [[97], [99]]
    assert letters.asked[3:] == ["ab", "c"] * 2
