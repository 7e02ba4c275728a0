"""What is known of a document's candidates, as the numbers that a probability is made from.

Shapes: K candidates of one document, N of several, F features, B documents with lists of M labels.
A pair's numbers follow from its document's own lists alone, and of each list only the first `depth`
count, so that neither the other documents of a call, nor the number of tags asked for, nor where
the index lies changes a bit of them.

In every feature more speaks for the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.search.candidates import PADDING, Candidates

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
    rows_K, depth = np.zeros(len(ids_K), np.int64), known.depth
    values = {"score": scores_K, "place": -np.log1p(np.arange(len(ids_K)))}
    if set(names) - set(values):
        values |= dense_features(of_one(known.dense), rows_K, ids_K, depth)
        if known.lexical is not None:
            values |= lexical_features(of_one(known.lexical), rows_K, ids_K, depth)
        if known.votes is not None and known.history_K is not None:
            values |= vote_features(of_one(known.votes), rows_K, ids_K, known.history_K)
    features_KF = as_columns(values, names)
    features_KF[ids_K == PADDING] = 0.0
    return features_KF


def of_one(side: List) -> Candidates:
    """A document's list as those of one document."""
    return side[0][None], side[1][None]


def as_columns(values: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """float64 [N, F] of the named values."""
    return np.stack([values[name].astype(np.float64) for name in names], axis=1)


def dense_features(
    side: Candidates, rows_N: np.ndarray, ids_N: np.ndarray, depth: int
) -> dict[str, np.ndarray]:
    """Of N labels `ids_N`, each of the document at `rows_N`, in the dense lists [B, M]."""
    score_N, place_N, lead_N, _ = _of_side(side, rows_N, ids_N, depth)
    return {"cosine": score_N, "dense_place": place_N, "cosine_lead": lead_N}


def lexical_features(
    side: Candidates, rows_N: np.ndarray, ids_N: np.ndarray, depth: int
) -> dict[str, np.ndarray]:
    """The same in the lexical lists."""
    score_N, place_N, lead_N, _ = _of_side(side, rows_N, ids_N, depth)
    return {"lexical": score_N, "lexical_place": place_N, "lexical_lead": lead_N}


def vote_features(
    side: Candidates, rows_N: np.ndarray, ids_N: np.ndarray, history_N: np.ndarray
) -> dict[str, np.ndarray]:
    """The same in the votes, of which all count. A label without votes has none, wherever the list
    of the others ends."""
    share_N, place_N, _, there_N = _of_side(side, rows_N, ids_N, side[0].shape[1])
    votes_N = np.log1p(VOTE * np.where(there_N, share_N, 0.0))
    return {"votes": votes_N, "votes_place": place_N, "history": history_N}


def _of_side(
    side: Candidates, rows_N: np.ndarray, ids_N: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Score, place and lead of each label in its document's list, and whether it is there.

    A label that a list does not hold has at most the list's last score: it is given that, and the
    place after the last. The lead is what its score is above the best other one of the list.
    """
    ids_BM = side[0][:, :depth]
    there_BM = ids_BM != PADDING
    documents, width = ids_BM.shape
    scores_BW = np.zeros((documents, max(width, 2)))
    scores_BW[:, :width] = np.where(there_BM, side[1][:, :depth], 0.0)
    count_B = there_BM.sum(axis=1)
    least_B = scores_BW[np.arange(documents), np.maximum(count_B - 1, 0)]
    places_N, there_N = _places(ids_BM, there_BM, rows_N, ids_N)
    places_N = np.where(there_N, places_N, count_B[rows_N])
    scores_N = np.where(
        there_N, scores_BW[rows_N, np.minimum(places_N, width - 1)], least_B[rows_N]
    )
    best_B, next_B = scores_BW[:, 0], scores_BW[:, 1]
    others_N = np.where(places_N == 0, next_B[rows_N], best_B[rows_N])
    return scores_N, -np.log1p(places_N), scores_N - others_N, there_N


def _places(
    ids_BM: np.ndarray, there_BM: np.ndarray, rows_N: np.ndarray, ids_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each label stands in its document's list, and whether it does."""
    rows_M, columns_M = np.nonzero(there_BM)
    keys_M = rows_M << 32 | ids_BM[there_BM].astype(np.int64)
    wanted_N = rows_N << 32 | ids_N.astype(np.int64)
    order_M = np.argsort(keys_M)
    sorted_M = np.append(keys_M[order_M], -2)  # what no label is
    found_N = np.searchsorted(sorted_M[:-1], wanted_N)
    there_N = sorted_M[found_N] == wanted_N
    return np.append(columns_M[order_M], 0)[found_N], there_N


def by_document(rankings: pa.Table) -> dict[str, List]:
    """doc_id -> its candidates, best first: ids int32 and scores float32, without padding."""
    columns = (rankings[name].to_pylist() for name in ("doc_id", "label_ids", "scores"))
    return {
        doc_id: (np.array(ids, np.int32), np.array(scores, np.float32))
        for doc_id, ids, scores in zip(*columns, strict=True)
    }
