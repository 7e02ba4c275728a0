"""What is known of a document's candidates, as the numbers that a probability is made from.

Shapes: K candidates of one document, F features. A pair's numbers follow from the document's own
lists alone, and of each list only the first `depth` count, so that neither the other documents of a
call, nor the number of tags asked for, nor where the index lies changes a bit of them.

In every feature more speaks for the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.search.candidates import PADDING

List = tuple[np.ndarray, np.ndarray]  # ids_K, scores_K of one document, best first

DENSE = ("cosine", "dense_place", "cosine_lead")
FUSED = (*DENSE, "lexical", "lexical_place", "lexical_lead", "place")
MEMORY = ("votes", "votes_place", "history")
LEARNED = (*FUSED[:-1], *MEMORY)  # without the place in a ranking that these make
NAMES = ("score", *FUSED, *MEMORY)
VOTE = 20.0  # a share of the neighbours' weight of one in so many is where votes begin to count


@dataclass(frozen=True)
class Known:
    """The candidates of a document in the ranking that counts, and the lists it was made from;
    `lexical` is None for a ranking without that side, and so is `votes` (`search.memory`) without
    memory. `history_K` are the candidates' own."""

    ranked: List
    dense: List
    lexical: List | None
    depth: int
    votes: List | None = None
    history_K: np.ndarray | None = None


def pair_features(known: Known, names: Sequence[str]) -> np.ndarray:
    """float64 [K, F], a row for each candidate of `known.ranked`; 0 in rows of padding.

    Raises:
        KeyError: A name that is not among `NAMES`, or one of the lexical side where there is none.
    """
    ids_K, scores_K = known.ranked
    values = {"score": scores_K, "place": -np.log1p(np.arange(len(ids_K)))}
    values |= _of_side(known.dense, ids_K, known.depth, "cosine", "dense_place")
    if known.lexical is not None:
        values |= _of_side(known.lexical, ids_K, known.depth, "lexical", "lexical_place")
    if known.votes is not None and known.history_K is not None:
        values |= _of_votes(known.votes, ids_K, known.history_K)
    features_KF = np.zeros((len(ids_K), len(names)))
    for column, name in enumerate(names):
        features_KF[:, column] = values[name]
    features_KF[ids_K == PADDING] = 0.0
    return features_KF


def _of_votes(votes: List, ids_K: np.ndarray, history_K: np.ndarray) -> dict[str, np.ndarray]:
    """A label without votes has none, wherever the list of the others ends."""
    found = _of_side((votes[0], votes[1]), ids_K, len(votes[0]), "share", "votes_place")
    has_K = np.isin(ids_K, votes[0][votes[0] != PADDING])
    shares_K = np.where(has_K, found["share"], 0.0)
    return {
        "votes": np.log1p(VOTE * shares_K),
        "votes_place": found["votes_place"],
        "history": history_K,
    }


def _of_side(
    side: List, ids_K: np.ndarray, depth: int, score: str, place: str
) -> dict[str, np.ndarray]:
    """Score, place and lead of each candidate in one list.

    A label that a list does not hold has at most the list's last score: it is given that, and the
    place after the last. The lead is what its score is above the best other one of the list.
    """
    there = (side[0] != PADDING) & (np.arange(len(side[0])) < depth)
    ids_M, scores_M = side[0][there], side[1][there].astype(np.float64)
    places_K = np.full(len(ids_K), len(ids_M))
    order_M = np.argsort(ids_M, kind="stable")
    found_K = np.searchsorted(ids_M, ids_K, sorter=order_M)
    if len(ids_M):
        at_K = order_M[np.minimum(found_K, len(ids_M) - 1)]
        places_K = np.where(ids_M[at_K] == ids_K, at_K, places_K)
    best = scores_M[0] if len(scores_M) else 0.0
    next_best = scores_M[1] if len(scores_M) > 1 else 0.0
    least = scores_M[-1] if len(scores_M) else 0.0
    scores_K = np.append(scores_M, least)[places_K]
    others_K = np.where(places_K == 0, next_best, best)
    return {
        score: scores_K,
        place: -np.log1p(places_K),
        f"{score}_lead": scores_K - others_K,
    }


def by_document(rankings: pa.Table) -> dict[str, List]:
    """doc_id -> its candidates, best first: ids int32 and scores float32, without padding."""
    columns = (rankings[name].to_pylist() for name in ("doc_id", "label_ids", "scores"))
    return {
        doc_id: (np.array(ids, np.int32), np.array(scores, np.float32))
        for doc_id, ids, scores in zip(*columns, strict=True)
    }
