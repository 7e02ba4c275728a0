"""Labels of the nearest judged documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.search.memory import (
    FILE,
    VOTED_BEFORE,
    VOTING,
    Memory,
    Remembered,
    document_key,
)
from lmtx_ray.search.tensor_file import open_tensors, write_tensors


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    """Unit vectors float32 of these directions."""
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def remembered() -> Remembered:
    """Three documents: a has labels 4 and 1, b label 1, c label 7; of eight labels."""
    return Remembered(
        np.array([document_key(name) for name in "abc"], np.uint64),
        unit((1, 0), (1, 1), (0, 1)),
        np.array([0, 2, 3, 4]),
        np.array([4, 1, 1, 7], np.int32),
        np.array([0.9, 0.6, 0.8, 1.0], np.float32),
        np.array([0, 4, 0, 0, 1, 0, 0, 10.0]),
        np.array([0, 1.4, 0, 0, 0.9, 0, 0, 1.0]),
    )


def weights_of(voting: tuple[float, float]) -> np.ndarray:
    """Of the three documents as neighbours of a query like a."""
    weights = np.exp((np.array([1.0, 0.5**0.5, 0.0]) - 1) / voting[1])
    return weights / weights.sum()


def test_neighbours_vote_for_their_labels_by_nearness_and_certainty() -> None:
    ids, scores = Memory(remembered()).search(unit((1, 0)), 4)
    weights = weights_of(VOTING)
    assert ids[0].tolist() == [4, 1, 7, -1]
    wanted = [0.9 * weights[0], 0.6 * weights[0] + 0.8 * weights[1], weights[2]]
    np.testing.assert_allclose(scores[0, :3], wanted, rtol=1e-5)


def test_a_document_is_not_its_own_neighbour() -> None:
    ids, _ = Memory(remembered()).search(unit((1, 0)), 4, [document_key("a")])
    assert ids[0].tolist() == [1, 7, -1, -1]


def test_nor_is_the_same_text_under_another_id() -> None:
    ids, _ = Memory(remembered()).search(unit((1, 0)), 4, [document_key("twin of a")])
    assert ids[0].tolist() == [1, 7, -1, -1]
    ids, _ = Memory(remembered()).search(unit((1, 0)), 4)  # a new document may be known
    assert ids[0].tolist() == [4, 1, 7, -1]


def test_so_many_neighbours_vote_whether_the_document_itself_is_known_or_not() -> None:
    memory = Memory(replace(remembered(), voting=np.array([1.0, 0.15])))
    ids, scores = memory.search(unit((1, 0)), 4)
    assert ids[0].tolist() == [4, 1, -1, -1]
    assert scores[0, :2] == pytest.approx([0.9, 0.6])
    ids, scores = memory.search(unit((1, 0)), 4, [document_key("a")])
    assert ids[0].tolist() == [1, -1, -1, -1]
    assert scores[0, 0] == pytest.approx(0.8)  # one alone has all the weight


def test_of_equal_votes_the_lower_label_comes_first() -> None:
    sure = replace(remembered(), p_yes_P=np.ones(4, np.float32), voting=np.array([1.0, 0.15]))
    ids, _ = Memory(sure).search(unit((1, 0)), 4)
    assert ids[0].tolist() == [1, 4, -1, -1]


def test_answers_do_not_depend_on_company() -> None:
    generator = np.random.default_rng(1)
    vectors = unit(*generator.normal(size=(200, 16)))
    labels = generator.integers(0, 50, 600).astype(np.int32)
    many = Remembered(
        np.arange(200, dtype=np.uint64),
        vectors,
        np.arange(0, 601, 3),
        labels,
        generator.random(600).astype(np.float32),
        np.zeros(50),
        np.zeros(50),
    )
    queries, memory = unit(*generator.normal(size=(40, 16))), Memory(many)
    ids, scores = memory.search(queries, 20)
    for place in range(len(queries)):
        one_ids, one_scores = memory.search(queries[place : place + 1], 20)
        assert one_ids[0].tolist() == ids[place].tolist()
        assert one_scores[0].tobytes() == scores[place].tobytes()


def test_histories_rise_with_acceptance_and_stay_modest_for_the_unknown() -> None:
    often, never, unknown, seldom = Memory(remembered()).histories(np.array([4, 1, 0, 7])).tolist()
    assert often > never > seldom
    counted = np.log((1.4 + 0.5) / (4 + 2 - 1.4 - 0.5)), np.log(1.5 / 10.5)
    assert (never, seldom) == pytest.approx(counted)
    assert unknown == pytest.approx(np.log(0.5 / 1.5))


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    remembered().save(tmp_path)
    query = unit((1, 2))
    for before, after in zip(
        Memory(remembered()).search(query, 3), Memory.load(tmp_path).search(query, 3), strict=True
    ):
        assert before.tobytes() == after.tobytes()
    arrays = {name: kept.copy() for name, kept in open_tensors(tmp_path / FILE).arrays.items()}
    del arrays["voting"]  # as one that was kept before votes were counted otherwise
    write_tensors(tmp_path / FILE, arrays)
    _, scores = Memory.load(tmp_path).search(unit((1, 0)), 4)
    assert scores[0, 2] == pytest.approx(weights_of(VOTED_BEFORE)[2], rel=1e-4)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=FILE):
        Memory.load(tmp_path)


def test_an_empty_memory_finds_nothing() -> None:
    empty = Remembered(
        np.zeros(0, np.uint64),
        np.zeros((0, 2), np.float32),
        np.zeros(1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
        np.zeros(8),
        np.zeros(8),
    )
    ids, _ = Memory(empty).search(unit((1, 0)), 3)
    assert ids.tolist() == [[-1, -1, -1]]
