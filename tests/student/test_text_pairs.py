"""Pairs from documents alone: functions of their arguments, and what is alike is marked so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.config.components import FitConfig
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.student import text_pairs, training
from lmtx_ray.student.contrast import in_batch_contrast, pair_loss
from lmtx_ray.student.sizes import pairs_per_document
from lmtx_ray.student.text_examples import segment_examples

LABELS = [f"label {number}" for number in range(50)]
CONFIG = FitConfig(label_draws=3, segment_words=(4, 8))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def title_rows(*clusters: list[int]) -> list[dict]:
    return [
        {"title": f"Title {n}", "text": f"About title {n}. More of it.", "clusters": list(own)}
        for n, own in enumerate(clusters)
    ]


def segment_rows(*doc_ids: str, title: str | None = "A name") -> list[dict]:
    text = " ".join(f"word{n}" for n in range(40))
    return [
        {"doc_id": doc_id, "title": title, "text": text, "slot": slot}
        for slot, doc_id in enumerate(doc_ids)
    ]


@given(st.integers(0, 300), st.integers(1, 20), st.integers(0, 20), st.integers(0, 99))
def test_segments_hold_every_word_once_and_in_order(count, least, more, seed) -> None:
    words = [f"w{n}" for n in range(count)]
    pieces = text_pairs.segments(" ".join(words), least, least + more, rng(seed))
    assert " ".join(pieces).split() == words
    for piece in pieces[:-1]:
        assert least <= len(piece.split()) <= least + more
    if len(pieces) > 1:
        assert len(pieces[-1].split()) >= least // 2


def test_a_document_is_paired_as_published() -> None:
    text = " ".join(f"w{n}" for n in range(30))
    pairs = text_pairs.pairs_of("Name", text, 10, 10, rng())
    assert pairs[0] == ("Name", "Name")
    assert [one for one, _ in pairs[1:4]] == ["Name"] * 3
    pieces = [other for _, other in pairs[1:4]]
    assert {text for pair in pairs[4:] for text in pair} == set(pieces)
    assert len(pairs) == 1 + 3 + 2 == pairs_per_document(30, True, 10, 10)


def test_without_a_title_there_are_segments_only() -> None:
    assert text_pairs.pairs_of(None, "one two", 10, 10, rng()) == [("one two", "one two")]
    assert pairs_per_document(2, False, 10, 10) == 1


def test_a_text_without_spaces_has_segments() -> None:
    text = "図書館の本を分類する。" * 20
    pieces = text_pairs.segments(text, 10, 20, rng())
    assert "".join(pieces) == text
    assert all(10 <= len(piece) <= 30 for piece in pieces)
    rows = [{"doc_id": "a", "title": None, "text": text, "split": "train"}]
    examples = segment_examples(pa.Table.from_pylist(rows), (10, 20))
    assert len(examples) == pairs_per_document(len(text), False, 10, 20) > 5


def test_a_document_is_cut_anew_at_every_step_and_the_same_again() -> None:
    rows = segment_rows("a", "b", "c")
    batches = [text_pairs.segment_batch(rows, LABELS, CONFIG, step) for step in (1, 2, 1)]
    assert batches[0].documents == batches[2].documents
    assert batches[0].labels == batches[2].labels
    assert batches[0].labels[:3] != batches[1].labels[:3]


def test_labels_are_pairs_with_themselves() -> None:
    batch = text_pairs.segment_batch(segment_rows("a", "b"), LABELS, CONFIG, 1)
    assert batch.documents[2:] == batch.labels[2:]
    assert len(set(batch.labels[2:])) == 3
    assert batch.targets_BM.diagonal().tolist() == [1.0] * 5
    assert batch.targets_BM.sum() == 5


def test_texts_of_one_document_do_not_stand_against_each_other() -> None:
    batch = text_pairs.segment_batch(segment_rows("a", "b", "a"), LABELS, CONFIG, 1)
    assert batch.targets_BM[0, :3].tolist() == [1.0, 0.0, 1.0]


def test_a_title_batch_holds_texts_twice_and_drawn_labels_last() -> None:
    rows = title_rows([], [])
    batch = text_pairs.title_batch(rows, LABELS, CONFIG, 0, 10)
    assert batch.documents[:2] == batch.documents[2:]
    assert batch.labels[:2] == ["Title 0", "Title 1"]
    assert set(batch.labels[2:]) <= set(LABELS)
    alike = [[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]]
    assert batch.targets_BM.tolist() == alike * 2  # drawn labels are alike to nothing


def test_clusters_become_finer_as_training_goes_on() -> None:
    rows = title_rows([0, 0], [0, 1], [1, 1])
    alike = [
        text_pairs.title_batch(rows, LABELS, CONFIG, step, 100).targets_BM[:3, :3].tolist()
        for step in (0, 20, 50)
    ]
    assert alike[0] == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert alike[1] == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert alike[2] == torch.eye(3).tolist()  # in the second half a text has its title alone


def test_a_text_that_stands_twice_differs_by_dropout_unless_it_is_said() -> None:
    values = {"run": "r", "corpus": {"documents": ["d"], "labels": "l"}}
    for source, fit, dropout in (
        ("title", {}, None),
        ("segment", {"passes": 2}, None),
        ("title", {"dropout": 0.2}, 0.2),
        ("teacher", {}, 0.0),
    ):
        config = RunConfig.model_validate({**values, "source": source, "fit": fit})
        assert config.fit.dropout == dropout


def test_a_text_loses_its_own_title_only() -> None:
    text = "Heart pain is common. It hurts."
    assert text_pairs.without_title("Heart pain", text, 0.0, rng()) == "is common. It hurts."
    assert text_pairs.without_title("Heart pain", text, 1.0, rng()) == text
    assert text_pairs.without_title("Same.", "Same.", 0.0, rng()) == "Same."
    assert text_pairs.without_title(None, text, 0.0, rng()) == text


def test_the_contrast_by_hand() -> None:
    scores, eye = torch.tensor([[0.5, 0.0], [0.2, 0.2]]), torch.eye(2)
    value = in_batch_contrast(scores, eye, 0.5).item()
    expected = (np.log1p(np.exp(-1.0)) + np.log(2.0)) / 2
    assert value == pytest.approx(expected, rel=1e-5)


def test_drawn_labels_add_to_the_loss_and_no_row_is_lost() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = text_pairs.title_batch(title_rows([], []), LABELS, CONFIG, 0, 10)
    vectors = torch.nn.functional.normalize(torch.randn(9, 4, generator=generator), dim=1)
    plain = in_batch_contrast(vectors[:2] @ vectors[4:6].T, torch.eye(2), 0.1)
    again = torch.cat([vectors[2:4], vectors[6:]])
    targets = torch.cat([torch.eye(2), torch.zeros(2, 3)], dim=1)
    expected = plain + in_batch_contrast(vectors[:2] @ again.T, targets, 0.1)
    assert pair_loss(vectors, batch, 0.1).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("rows", [title_rows([], []), segment_rows("a", "b")])
def test_a_row_says_what_its_batch_is(rows: list[dict]) -> None:
    batch = training.make_batch(rows, LABELS, CONFIG, 0, 10)
    assert isinstance(batch, text_pairs.PairBatch)
    width = len(batch.documents) + len(batch.labels)
    loss = training.batch_loss(torch.nn.functional.normalize(torch.ones(width, 4)), batch, CONFIG)
    assert torch.isfinite(loss)
