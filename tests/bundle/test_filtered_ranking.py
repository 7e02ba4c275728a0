"""A ranking among the labels of each document's filter: that of a label set of those alone."""

from __future__ import annotations

import numpy as np
import pytest

from lmtx_ray.bundle.ranking import Ranked, Ranker
from lmtx_ray.bundle.searching import FEW, among_all, gathered, part_of, searches
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.pair_features import FUSED, LEARNED
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.memory import Memory, Remembered
from lmtx_ray.search.selection import Narrowed, Selection
from tests.search.test_index import vectors
from tests.search.test_selection import brute_force, drawn

LABELS, DOCUMENTS, DEPTH = 2500, 12, 25
FUSION = {"dense": 1.0, "lexical": 0.7, "constant": 60}
RNG = np.random.default_rng(1)
WORDS = [f"word{n}" for n in range(80)]
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(1, 4))) for _ in range(LABELS)]
NAMED = [" ".join(RNG.choice(WORDS, 30)) for _ in range(DOCUMENTS)]
KNOWN, QUERIES = vectors(LABELS, 2), vectors(DOCUMENTS, 3)
INDEX, LEXICAL = LabelIndex.build(KNOWN, 3), LexicalIndex.build(TEXTS)


def fitted(features: tuple[str, ...]) -> Calibration:
    ones = (1.0,) * len(features)
    weights = tuple(0.1 * (1 + place) for place in range(len(features)))
    return Calibration(features, weights, (0.0,) * len(features), ones)


def rank(
    ranker: Ranker, selections: list[Selection | None], reference: int = 0, depth: int = DEPTH
) -> Ranked:
    asked = searches(selections, [depth] * len(selections), reference)
    found = [INDEX.search(QUERIES[one.places], one.k, one.selection) for one in asked]
    dense = gathered(asked, found, selections, depth)
    everything = among_all(asked, found, selections, reference) if reference else None
    return ranker.rank(NAMED, QUERIES, dense, selections, everything)


def fused_by_hand(allowed: np.ndarray, place: int) -> list[int]:
    """Reciprocal rank fusion of what is exact on both sides, over the allowed labels alone."""
    dense = brute_force(KNOWN, QUERIES[place : place + 1], allowed, DEPTH)[0][0].tolist()
    (named,) = LEXICAL.search([NAMED[place]], LABELS)[0].tolist()
    kept = set(allowed.tolist())
    lexical = [label for label in named if label in kept][:DEPTH]
    scores: dict[int, float] = {}
    for side, weight in ((dense, FUSION["dense"]), (lexical, FUSION["lexical"])):
        for rank, label in enumerate((label for label in side if label != PADDING), start=1):
            scores[label] = scores.get(label, 0.0) + weight / (FUSION["constant"] + rank)
    return sorted(scores, key=lambda label: (-scores[label], label))[:DEPTH]


def others(selection: Selection) -> Selection:
    return Selection(LABELS, selection.ids_S, not selection.but)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.9])
def test_a_filtered_ranking_is_a_brute_force_ranking_of_the_allowed_labels(share: float) -> None:
    one = drawn(LABELS, share, 7)
    few_denied = Selection(LABELS, np.argsort(-(QUERIES[3] @ KNOWN.T))[:30], but=True)
    best = np.argsort(-(QUERIES @ KNOWN.T), axis=1)[:, :40]
    narrowed = [Narrowed(one, np.sort(best[place]).astype(np.int32)) for place in (6, 7)]
    each = [one, None, others(one), few_denied, Selection(LABELS, [5]), Selection(LABELS, [])]
    selections = [*each, *narrowed, one, Narrowed(others(one), narrowed[0].ids_left_out[:9])]
    selections += [None, few_denied]
    ranked = rank(Ranker(LEXICAL, FUSION, None, None, DEPTH), selections)
    for place, selection in enumerate(selections):
        mask_L = np.ones(LABELS, bool) if selection is None else selection.mask_L
        found = [label for label in ranked.ids_BK[place].tolist() if label != PADDING]
        assert found == fused_by_hand(np.flatnonzero(mask_L), place)


def test_documents_that_share_a_filter_are_searched_together() -> None:
    one = drawn(LABELS, 0.3, 7)
    own = [Narrowed(one, np.array([place], np.int32)) for place in one.ids_S[:8]]
    alone, search = searches([one, *own], [DEPTH] * 9)
    assert (alone.places, alone.k, alone.selection) == ([0], DEPTH, one)
    assert (search.places, search.k, search.selection) == ([*range(1, 9)], DEPTH + FEW, one)
    everything, among = searches([None, *own], [DEPTH] * 9, DEPTH)
    assert (everything.places, everything.selection) == ([*range(9)], None)
    assert (among.places, among.selection) == ([*range(1, 9)], one)


def test_what_others_want_makes_no_search_wider() -> None:
    """An approximate index that looks more widely would find others for those beside them too."""
    few = [Selection(LABELS, [place], but=True) for place in range(3)]
    selections, depths = [None, None, *few, None], [DEPTH, 200, DEPTH, DEPTH, 200, DEPTH]
    together = searches(selections, depths, DEPTH)
    widths = {place: one.k for one in together for place in one.places}
    for place, (selection, depth) in enumerate(zip(selections, depths, strict=True)):
        (alone,) = searches([selection], [depth], DEPTH)
        assert widths[place] == alone.k
    assert len(together) == 4


def test_a_filter_changes_no_probability() -> None:
    """A candidate keeps the one it has among all labels, to the last bit; what is none has less."""
    ranker, calibration = Ranker(LEXICAL, FUSION, None, None, DEPTH), fitted(FUSED)
    whole = rank(ranker, [None] * DOCUMENTS)
    selections = [drawn(LABELS, 0.5, place) for place in range(DOCUMENTS - 1)] + [None]
    ranked = rank(ranker, selections, DEPTH)
    seen = 0
    for place in range(DOCUMENTS):
        before = dict(
            zip(
                whole.ids_BK[place].tolist(),
                whole.probabilities(calibration, place, DEPTH).tolist(),
                strict=True,
            )
        )
        now = ranked.probabilities(calibration, place, DEPTH).tolist()
        for label, probability in zip(ranked.ids_BK[place].tolist(), now, strict=True):
            seen += label in before
            assert probability == before.get(label, probability)
            assert label in before or probability <= min(before.values())
    assert seen > 100


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_more_tags_change_neither_the_first_ones_nor_their_probabilities(share: float) -> None:
    ranker, calibration = Ranker(LEXICAL, FUSION, None, None, DEPTH), fitted(FUSED)
    selections = [None if share == 1 else drawn(LABELS, share, 7)] * DOCUMENTS
    few, many = (rank(ranker, selections, DEPTH, depth) for depth in (DEPTH, 200))
    for place in range(DOCUMENTS):
        assert np.array_equal(many.ids_BK[place, :DEPTH], few.ids_BK[place])
        assert np.array_equal(many.scores_BK[place, :DEPTH], few.scores_BK[place])
        stated = [one.probabilities(calibration, place, DEPTH)[:DEPTH] for one in (few, many)]
        assert np.array_equal(*stated)
        assert len(set(many.ids_BK[place].tolist()) - {PADDING}) == 200
        assert (np.diff(many.scores_BK[place]) <= 0).all()


def test_company_changes_nothing() -> None:
    """A part of what was searched together is what would be found of it alone."""
    selections = [drawn(LABELS, 0.3, 1), None, Selection(LABELS, [4], but=True)] * 4
    asked = searches(selections, [DEPTH] * len(selections), 9)
    found = [INDEX.search(QUERIES[one.places], one.k, one.selection) for one in asked]
    for start, end in ((0, 1), (1, 7), (7, 12)):
        own = selections[start:end]
        part = part_of(asked, found, range(start, end))
        alone = searches(own, [DEPTH] * len(own), 9)
        vectors_BD = QUERIES[start:end]
        expected = [INDEX.search(vectors_BD[one.places], one.k, one.selection) for one in alone]
        for kept, k in ((gathered, DEPTH), (among_all, 9)):
            for one, other in zip(kept(*part, own, k), kept(alone, expected, own, k), strict=True):
                assert np.array_equal(one, other)


def test_learned_fusion_weighs_what_the_allowed_labels_give() -> None:
    """With all three sides, among some labels it is what it is where there are no others."""
    seen = [
        (n, KNOWN[n], [n, (n * 7) % LABELS, (n * 31) % LABELS], [1.0, 0.8, 0.6]) for n in range(200)
    ]
    counts = np.ones(LABELS)
    memory = Memory(Remembered.of(seen, counts, 0.4 * counts))
    ranker = Ranker(LEXICAL, FUSION, fitted(LEARNED), memory, DEPTH)
    selection = drawn(LABELS, 0.4, 9)
    ranked = rank(ranker, [selection] * DOCUMENTS)
    assert selection.holds(ranked.ids_BK.ravel()).all()
    whole = rank(ranker, [None] * DOCUMENTS)
    assert not np.array_equal(ranked.ids_BK, whole.ids_BK)
    same = rank(ranker, [Selection(LABELS, np.zeros(0), but=True)] * DOCUMENTS)
    assert np.array_equal(same.ids_BK, whole.ids_BK)
    assert np.array_equal(same.scores_BK, whole.scores_BK)
