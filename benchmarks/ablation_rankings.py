"""What `benchmarks.ablation` makes of one trained encoder: rows without any further training.

Shapes: B documents, K candidates, N judged documents, L labels, D dimensions, F features, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.ablation_towers import label_tower
from benchmarks.quality_judge import Verdicts
from benchmarks.quality_methods import remembered
from benchmarks.quality_states import DEPTH, PARTS, Bench, Side, nearest, vectors_of
from lmtx_ray.evaluation.calibration import fit
from lmtx_ray.evaluation.combining import SideLists
from lmtx_ray.evaluation.pair_features import FUSED, LEARNED, Known, pair_features
from lmtx_ray.search.candidates import PADDING, Candidates, reciprocal_rank_fusion, top_k
from lmtx_ray.search.memory import VOTED, Memory
from lmtx_ray.student.encoder import Encoder

PROTOTYPES = (0.25, 0.5, 1.0, 2.0)  # lengths of the mean document that is added to a label
HUB_DOCUMENTS = 10
FEW = 2.0  # documents of which a mean counts half
PLAIN = FUSED[:-1]  # what needs no memory
NO_VOTES: Candidates = np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32)
TREES = {"max_depth": 4, "max_iter": 80, "learning_rate": 0.08, "l2_regularization": 1.0}

Ranking = tuple[str, np.ndarray]  # a row's name and ids_BK of the test documents
Scorer = Callable[[np.ndarray], np.ndarray]  # features [K, F] to what candidates are ordered by


@dataclass(frozen=True)
class Ranked:
    """What one encoder makes of labels and documents; `model` is its folder."""

    model: str
    labels_LD: np.ndarray
    sides: Mapping[str, Side]


def untouched(bench: Bench) -> Ranked:
    """Before any training."""
    return Ranked(bench.encoder.model, bench.labels_LD, bench.untouched())


def ranked(bench: Bench, model: str) -> Ranked:
    """By a trained encoder."""
    encoder = Encoder(bench.encoder, model=model)
    tower = label_tower(model)
    of_labels = encoder if tower == model else Encoder(bench.encoder, model=tower)
    labels_LD = of_labels.encode(bench.texts.labels, "label")
    sides = {
        part: Side.of(vectors_of(encoder, bench.documents(part)), labels_LD, bench.lexical[part])
        for part in PARTS
    }
    return Ranked(model, labels_LD, sides)


def of_first(state: Ranked, count: int) -> Ranked:
    """With the first so many documents to train on alone."""
    train = state.sides["train"]
    dense, lexical = ((ids[:count], scores[:count]) for ids, scores in (train.dense, train.lexical))
    part = Side(train.vectors_BD[:count], dense, lexical, train.fused_BK[:count])
    return replace(state, sides={**state.sides, "train": part})


def hubs_lowered(dense: Candidates, labels_LD: np.ndarray, train_ND: np.ndarray) -> np.ndarray:
    """ids_BK: the labels found, by twice their cosine less the mean of a label's cosines to its
    nearest documents to train on (CSLS: Conneau et al. 2018, arXiv:1710.04087)."""
    ids_BK, cosines_BK = dense
    found_U, own_BK = np.unique(ids_BK, return_inverse=True)  # PADDING takes some label's vector
    cosines_UN = labels_LD[found_U] @ train_ND.T
    near_U = np.sort(cosines_UN, axis=1)[:, -HUB_DOCUMENTS:].mean(axis=1)
    return top_k(ids_BK, 2 * cosines_BK - near_U[own_BK.reshape(ids_BK.shape)], DEPTH)[0]


def prototypes(
    means_LD: np.ndarray, labels_LD: np.ndarray, counts_L: np.ndarray
) -> Iterator[tuple[float, np.ndarray]]:
    """(length, label vectors [L, D]) with the mean of accepted documents added."""
    shares_L1 = (counts_L / (counts_L + FEW))[:, None]
    for length in PROTOTYPES:
        moved_LD = labels_LD + length * shares_L1 * means_LD
        yield length, _unit(moved_LD)


def means_of(asked: Verdicts, vectors_ND: np.ndarray, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit mean vectors of each label's accepted documents weighted by P(yes), float32 [L, D] (0 of
    labels without any), and how much of P(yes) each got [L]."""
    kept = remembered(asked, vectors_ND, labels)
    sums_LD = np.zeros((labels, vectors_ND.shape[1]), np.float32)
    rows_P = np.repeat(np.arange(len(vectors_ND)), np.diff(kept.starts_N))
    np.add.at(sums_LD, kept.labels_P, vectors_ND[rows_P] * kept.p_yes_P[:, None])
    return _unit(sums_LD), kept.accepted_L


def _unit(vectors_LD: np.ndarray) -> np.ndarray:
    lengths_L1 = np.linalg.norm(vectors_LD, axis=1, keepdims=True)
    return (vectors_LD / np.maximum(lengths_L1, 1e-12)).astype(np.float32)


def after_training(
    bench: Bench, state: Ranked, asked: Verdicts, held: Verdicts
) -> Iterator[Ranking]:
    """All rows that an encoder and what was said give, of the test documents."""
    test, labels = state.sides["test"], len(bench.texts.labels)
    vectors_ND = state.sides["train"].vectors_BD
    yield from with_prototypes(test, state.labels_LD, *means_of(asked, vectors_ND, labels))
    lowered_BK = hubs_lowered(test.dense, state.labels_LD, vectors_ND)
    yield "hubs lowered", lowered_BK
    yield (
        "hubs lowered hybrid",
        reciprocal_rank_fusion([lowered_BK, test.lexical[0]], DEPTH)[0],
    )
    memory = Memory(remembered(asked, vectors_ND, labels))
    votes = {part: memory.search(state.sides[part].vectors_BD, VOTED) for part in ("held", "test")}
    yield "neighbours alone", votes["test"][0]
    yield from combined(state.sides, votes, memory, held, LEARNED, "")
    yield from combined(state.sides, {}, memory, held, PLAIN, " without memory")


def combined(
    sides: Mapping[str, Side],
    votes: Mapping[str, Candidates],
    memory: Memory,
    held: Verdicts,
    features: Sequence[str],
    told: str,
) -> Iterator[Ranking]:
    """Candidates of all sides in the order of what is learned of some features."""
    own = [_lists(sides["held"], votes.get("held")), _lists(sides["test"], votes.get("test"))]
    held_lists, test_lists = map(list, own)
    pairs = judged_pairs(held, held_lists, memory, features)
    for kind, score in scorers(*pairs, features):
        rows = [_ordered(lists, score, memory, features) for lists in test_lists]
        yield f"{kind}{told}", np.stack(rows)


def with_prototypes(
    test: Side, labels_LD: np.ndarray, means_LD: np.ndarray, counts_L: np.ndarray
) -> Iterator[Ranking]:
    """By labels' vectors that lean to their documents, alone and fused with words."""
    for length, moved_LD in prototypes(means_LD, labels_LD, counts_L):
        ids_BK = nearest(test.vectors_BD, moved_LD)[0]
        yield f"prototypes {length}", ids_BK
        fused_BK, _ = reciprocal_rank_fusion([ids_BK, test.lexical[0]], DEPTH)
        yield f"prototypes {length} hybrid", fused_BK


def _lists(side: Side, votes: Candidates | None) -> Iterator[SideLists]:
    for row in range(len(side.vectors_BD)):
        three = (side.dense, side.lexical, NO_VOTES if votes is None else votes)
        own = [(ids[row % len(ids)], scores[row % len(ids)]) for ids, scores in three]
        yield SideLists(*own)


def _features(
    lists: SideLists, ids_K: np.ndarray, memory: Memory, names: Sequence[str]
) -> np.ndarray:
    candidates = ids_K, np.zeros(len(ids_K), np.float32)
    histories_K = memory.histories(ids_K)
    known = Known(candidates, lists.dense, lists.lexical, DEPTH, lists.votes, histories_K)
    return pair_features(known, names)


def judged_pairs(
    held: Verdicts,
    lists: Sequence[SideLists],
    memory: Memory,
    names: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Features [P, F] and P(yes) [P] of the judged candidates of documents held aside."""
    said, features, targets = held.by_pair(), [], []
    for document, own in zip(held.documents, lists, strict=True):
        ids_K = own.candidates(DEPTH)
        p_yes_K = np.array([said.get((document.doc_id, label), np.nan) for label in ids_K.tolist()])
        features.append(_features(own, ids_K[~np.isnan(p_yes_K)], memory, names))
        targets.append(p_yes_K[~np.isnan(p_yes_K)])
    return np.concatenate(features), np.concatenate(targets)


def scorers(
    features_PF: np.ndarray, targets_P: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, Scorer]]:
    """The product's logistic regression on P(yes), and boosted trees on yes or no."""
    yield "learned", fit(features_PF, targets_P, names).log_odds
    accepted_P = targets_P > 0.5
    if accepted_P.any() and not accepted_P.all():
        trees = HistGradientBoostingClassifier(**TREES, random_state=0)
        trees.fit(features_PF, accepted_P)
        yield "trees", trees.decision_function


def _ordered(lists: SideLists, score: Scorer, memory: Memory, names: Sequence[str]) -> np.ndarray:
    ids_K = lists.candidates(DEPTH)
    if not len(ids_K):
        return np.full(DEPTH, PADDING, np.int32)
    scores_K = score(_features(lists, ids_K, memory, names))
    return top_k(ids_K[None], scores_K[None], DEPTH)[0][0]
