"""Learned fusion of what the sides found."""

from __future__ import annotations

import numpy as np

from lmtx_ray.evaluation.combining import (
    FOLDS,
    Combiners,
    SideLists,
    Sides,
    combined,
    fit_combiners,
    fold_of,
    weighed,
)
from lmtx_ray.evaluation.pair_features import LEARNED

DEPTH, LABELS = 10, 40
SIDES = ("dense", "lexical", "votes")
NONE = np.zeros(0, np.int32), np.zeros(0, np.float32)


def side(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first DEPTH labels by these scores [LABELS]."""
    order = np.argsort(-scores, kind="stable")[:DEPTH].astype(np.int32)
    return order, scores[order].astype(np.float32)


def stacked(lists: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of several documents, padded."""
    ids_BM = np.full((len(lists), DEPTH + 2), -1, np.int32)
    scores_BM = np.full(ids_BM.shape, -np.inf, np.float32)
    for row, (ids, scores) in enumerate(lists):
        ids_BM[row, : len(ids)], scores_BM[row, : len(ids)] = ids, scores
    return ids_BM, scores_BM


def histories(ids_K: np.ndarray) -> np.ndarray:
    """Nothing is known of any label."""
    return np.zeros(len(ids_K))


def made(count: int, seed: int) -> tuple[list[tuple[str, SideLists]], dict, dict[str, int]]:
    """Documents with one right label, that the votes know well, words seldom and vectors never."""
    generator = np.random.default_rng(seed)
    documents, verdicts, right = [], {}, {}
    for number in range(count):
        name, own = f"{seed}/{number}", int(generator.integers(LABELS))
        noise = generator.random((3, LABELS))
        noise[1, own] += generator.random() < 0.2
        noise[2, own] += generator.random() < 0.9
        sides = SideLists(*(side(one) for one in noise))
        documents.append((name, sides))
        right[name] = own
        verdicts |= {
            (name, label): 0.9 if label == own else 0.1
            for label in sides.candidates(DEPTH).tolist()
        }
    return documents, verdicts, right


def share_first(documents: list, right: dict[str, int], combiners: Combiners, aside: bool) -> float:
    """Documents whose first label is right."""
    firsts = [
        combined(sides, combiners.of(name, aside), histories, DEPTH)[0][0] == right[name]
        for name, sides in documents
    ]
    return float(np.mean(firsts))


def test_the_side_that_is_right_is_followed() -> None:
    documents, verdicts, right = made(150, 1)
    combiners = fit_combiners(documents, verdicts, histories, DEPTH)
    others, _, truth = made(100, 2)
    assert share_first(others, truth, combiners, aside=False) > 0.8
    assert share_first(documents, right, combiners, aside=True) > 0.8
    weights = dict(zip(LEARNED, combiners.whole.weights, strict=True))
    assert weights["votes"] + weights["votes_place"] > weights["cosine"] + weights["dense_place"]


def test_a_held_aside_document_is_ranked_without_its_own_verdicts() -> None:
    documents, verdicts, _ = made(60, 3)
    name = documents[0][0]
    turned = {pair: 1 - p if pair[0] == name else p for pair, p in verdicts.items()}
    before, after = (
        fit_combiners(documents, said, histories, DEPTH) for said in (verdicts, turned)
    )
    assert before.of(name, True) == after.of(name, True)
    assert before.whole != after.whole
    assert {fold_of(one) for one, _ in documents} == set(range(FOLDS))


def test_a_single_held_aside_document_is_ranked_by_what_there_is() -> None:
    documents, verdicts, _ = made(1, 1)
    fitted = fit_combiners(documents, verdicts, histories, DEPTH)
    assert set(fitted.folds) == {fitted.whole}
    assert any(fitted.whole.weights)


def test_it_keeps_every_side_s_candidates_and_comes_back_from_a_file() -> None:
    documents, verdicts, _ = made(30, 4)
    combiners = fit_combiners(documents, verdicts, histories, DEPTH)
    assert Combiners.from_dict(combiners.to_dict()) == combiners
    sides = documents[0][1]
    ids, scores = combined(sides, combiners.whole, histories, 3 * DEPTH)
    every = set().union(
        *(set(one[0].tolist()) for one in (sides.dense, sides.lexical, sides.votes))
    )
    assert set(ids[ids >= 0].tolist()) == every
    assert (np.diff(scores[ids >= 0]) <= 0).all()


def test_documents_are_weighed_together_as_alone() -> None:
    documents, verdicts, _ = made(40, 8)
    combiners = fit_combiners(documents, verdicts, histories, DEPTH)
    lists = [sides for _, sides in documents]
    lists[3] = SideLists(lists[3].dense, (lists[3].lexical[0][:0], lists[3].lexical[1][:0]), NONE)
    lists[5] = SideLists(NONE, NONE, NONE)
    together = Sides(*(stacked([getattr(one, name) for one in lists]) for name in SIDES))
    which_B = np.arange(40) % (FOLDS + 1)
    ids, scores = weighed(together, combiners.every, which_B, histories, DEPTH)
    for row, (one, which) in enumerate(zip(lists, which_B.tolist(), strict=True)):
        own_ids, own_scores = combined(one, combiners.every[which], histories, DEPTH)
        assert np.array_equal(ids[row], own_ids)
        assert scores[row].tobytes() == own_scores.tobytes()
    assert (ids[5] == -1).all()


def test_without_verdicts_it_still_ranks() -> None:
    documents, _, _ = made(5, 5)
    combiners = fit_combiners(documents, {}, histories, DEPTH)
    ids, _ = combined(documents[0][1], combiners.whole, histories, DEPTH)
    assert ids[0] >= 0
    assert (np.diff(ids) > 0).all()  # nothing tells them apart


def test_more_candidates_of_a_side_than_count_are_left_aside() -> None:
    """A bundle that is asked for more tags finds more on each side."""
    documents, verdicts, _ = made(30, 9)
    combiners, few = fit_combiners(documents, verdicts, histories, DEPTH), DEPTH // 2
    for _, sides in documents:
        first = np.concatenate([getattr(sides, name)[0][:few] for name in SIDES])
        ids, _ = combined(sides, combiners.whole, histories, few, 3 * DEPTH)
        assert set(ids[ids >= 0].tolist()) == set(first.tolist())


def test_a_judge_s_favourites_do_not_come_first_everywhere() -> None:
    """The judge leans to every fourth label, whatever a document says."""
    documents, verdicts, _ = made(150, 6)
    leaning = {
        (name, label): max(p, 0.6) if label % 4 == 0 else p for (name, label), p in verdicts.items()
    }

    def known(ids_K: np.ndarray) -> np.ndarray:
        return np.where(ids_K % 4 == 0, 1.0, -1.0)

    combiners = fit_combiners(documents, leaning, known, DEPTH)
    others, _, truth = made(200, 7)
    named = [(name, sides) for name, sides in others if truth[name] in sides.votes[0][:1]]
    firsts = [combined(sides, combiners.whole, known, DEPTH)[0][0] for _, sides in named]
    right = np.mean([first == truth[name] for first, (name, _) in zip(firsts, named, strict=True)])
    assert len(named) > 100
    assert right > 0.85  # 0.25 with the whole weight of the histories
