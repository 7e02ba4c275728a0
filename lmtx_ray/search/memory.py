"""What the judge accepted on the nearest judged documents: labels that no text of theirs leads to.

A bundle remembers the vectors of judged documents and which labels were accepted on them. The
neighbours of a new document vote for their labels, and a label's own history says how often it is
accepted when it is asked about. Nobody is asked at inference.
Shapes: N remembered documents, D dimensions, L labels, P accepted pairs, B queries, K found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.io.spans import ranges
from lmtx_ray.search.candidates import PADDING, Candidates, as_lists
from lmtx_ray.search.index import IndexShard
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.tensor_file import open_tensors, write_tensors

FILE = "memory.safetensors"
VOTED = 50  # labels of its neighbours that are candidates of a document
# how many neighbours vote, and the temperature of the softmax over their cosines: of what is
# remembered now, and of memories that do not say so, for which weights were fitted by these
VOTING, VOTED_BEFORE = (60.0, 0.15), (30.0, 0.05)
ALIKE = 0.999  # cosine from which on two vectors may be one
ASKED, ACCEPTED = 2.0, 0.5  # counted for each label beforehand

# a document's key (`document_key`), vector, accepted labels and their P(yes)
Judged = tuple[int, np.ndarray, Sequence[int] | np.ndarray, Sequence[float] | np.ndarray]


@dataclass(frozen=True)
class Remembered:
    """Judged documents: their keys uint64 [N] (`document_key`), unit vectors float32 [N, D],
    `starts_N` int64 [N + 1] into labels int32 and P(yes) float32 [P] of accepted pairs; and of each
    label how often it was asked about and how much of P(yes) it got, float64 [L]. `voting`
    float64 [2] are the number of neighbours that vote and the temperature of their weights."""

    keys_N: np.ndarray
    vectors_ND: np.ndarray
    starts_N: np.ndarray
    labels_P: np.ndarray
    p_yes_P: np.ndarray
    asked_L: np.ndarray
    accepted_L: np.ndarray
    voting: np.ndarray = field(default_factory=lambda: np.array(VOTING))

    @classmethod
    def of(
        cls, documents: Sequence[Judged], asked_L: np.ndarray, accepted_L: np.ndarray
    ) -> Remembered:
        """The memory of these documents, in their order."""
        vectors = [vector_D for _, vector_D, _, _ in documents]
        labels = [labels for _, _, labels, _ in documents]
        p_yes = [p_yes for _, _, _, p_yes in documents]
        return cls(
            np.array([key for key, _, _, _ in documents], np.uint64),
            np.array(vectors, np.float32) if vectors else np.zeros((0, 1), np.float32),
            np.cumsum([0, *map(len, labels)]).astype(np.int64),
            np.concatenate([np.zeros(0, np.int32), *labels]).astype(np.int32),
            np.concatenate([np.zeros(0, np.float32), *p_yes]).astype(np.float32),
            asked_L,
            accepted_L,
        )

    @classmethod
    def load(cls, folder: str | Path) -> Remembered:
        """Map a saved memory.

        Raises:
            FileNotFoundError: The folder holds none.
            ValueError: Its file is not what `save` writes; the message names it.
        """
        file = Path(folder) / FILE
        try:
            arrays = dict(open_tensors(file).arrays)
            arrays["keys_N"] = arrays["keys_N"].view(np.uint64)
            return cls(**{"voting": np.array(VOTED_BEFORE), **arrays})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file}: not a memory ({error})") from error

    def moved(self, moves: Moves) -> Remembered:
        """The memory of an edited label set. A label's history goes with its key; that of a key
        that is no more, and its votes, are left out, and a new label has none."""
        now_L0, known_L = moves.now(), moves.before_L != GONE
        labels_P = now_L0[self.labels_P]
        kept_P = labels_P != GONE
        starts_N = np.concatenate([[0], np.cumsum(kept_P)])[self.starts_N].astype(np.int64)
        asked_L, accepted_L = np.zeros(len(known_L)), np.zeros(len(known_L))
        asked_L[known_L] = self.asked_L[moves.before_L[known_L]]
        accepted_L[known_L] = self.accepted_L[moves.before_L[known_L]]
        return replace(
            self,
            starts_N=starts_N,
            labels_P=labels_P[kept_P],
            p_yes_P=self.p_yes_P[kept_P],
            asked_L=asked_L,
            accepted_L=accepted_L,
        )

    def save(self, folder: str | Path) -> None:
        """Write one file of plain arrays."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_tensors(
            Path(folder) / FILE,
            {name: a.view("<i8") if a.dtype == np.uint64 else a for name, a in vars(self).items()},
        )


class Memory:
    """Neighbours' labels and labels' histories. A document's answer follows from its vector alone,
    whatever else is in a call."""

    def __init__(self, remembered: Remembered) -> None:
        """ValueError for arrays that do not belong together."""
        sizes = len(remembered.keys_N), len(remembered.vectors_ND), len(remembered.starts_N) - 1
        ends = int(remembered.starts_N[-1]), len(remembered.labels_P), len(remembered.p_yes_P)
        if len(set(sizes)) > 1 or len(set(ends)) > 1:
            raise ValueError(f"a memory of {sizes} documents and {ends} pairs")
        self._kept = remembered
        self._neighbours, self._temperature = int(remembered.voting[0]), remembered.voting[1]
        self._nearest = IndexShard(remembered.vectors_ND) if sizes[0] else None

    def __len__(self) -> int:
        return len(self._kept.keys_N)

    @classmethod
    def load(cls, folder: str | Path) -> Memory:
        """Map a saved memory.

        Raises:
            FileNotFoundError: The folder holds none.
            ValueError: Its file is not what `save` writes; the message names it.
        """
        return cls(Remembered.load(folder))

    def search(
        self,
        vectors_BD: np.ndarray,
        k: int,
        keys_B: Sequence[int] | None = None,
        selection: Selection | None = None,
    ) -> Candidates:
        """The k labels with most votes: ids_BK int32, scores_BK float32, the share of the
        neighbours' weight that accepts the label, weighted by P(yes).

        Args:
            keys_B: Keys of the documents themselves, which are not their own neighbours; nor are
                those of the same vector, the same text under another id.
            selection: Labels that alone may be found, by the votes of the same neighbours.
        """
        shape = len(vectors_BD), k
        if self._nearest is None or not len(vectors_BD):
            nothing = np.zeros(0, np.int64)
            return as_lists(nothing, nothing, nothing.astype(np.float32), shape)
        rows_BM, cosines_BM = self._nearest.search(vectors_BD, min(self._neighbours + 1, len(self)))
        there_BM = rows_BM != PADDING
        if keys_B is not None:
            there_BM &= self._kept.keys_N[rows_BM] != np.array(keys_B, np.uint64)[:, None]
            near = np.nonzero(there_BM & (cosines_BM > ALIKE))
            twins = (self._kept.vectors_ND[rows_BM[near]] == vectors_BD[near[0]]).all(axis=1)
            there_BM[near] = ~twins
        there_BM &= np.cumsum(there_BM, axis=1) <= self._neighbours
        documents, labels, shares = self._votes(rows_BM, cosines_BM, there_BM)
        if selection is not None:
            allowed = selection.holds(labels)
            documents, labels, shares = documents[allowed], labels[allowed], shares[allowed]
        order = np.lexsort((labels, -shares, documents))
        return as_lists(documents[order], labels[order], shares[order], shape)

    def _votes(
        self, rows_BM: np.ndarray, cosines_BM: np.ndarray, there_BM: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(document, label, share of the weight) of every label of the neighbours that are there,
        summed one after the other: in no other company otherwise."""
        kept, documents = self._kept, len(rows_BM)
        places_Q, rows_Q = np.nonzero(there_BM)[0], rows_BM[there_BM]
        nearest_B = np.where(there_BM, cosines_BM, -np.inf).max(axis=1)
        away_Q = cosines_BM[there_BM].astype(np.float64) - nearest_B[places_Q]
        weights_Q = np.exp(away_Q / self._temperature)
        weights_Q /= np.bincount(places_Q, weights_Q, minlength=documents)[places_Q]
        starts_Q = kept.starts_N[rows_Q]
        lengths_Q = kept.starts_N[rows_Q + 1] - starts_Q
        pairs = ranges(starts_Q, lengths_Q)
        votes = np.repeat(weights_Q, lengths_Q) * kept.p_yes_P[pairs]
        keys = np.repeat(places_Q, lengths_Q) << 32 | kept.labels_P[pairs].astype(np.int64)
        found, numbers = np.unique(keys, return_inverse=True)
        shares = np.bincount(numbers, votes, minlength=len(found)).astype(np.float32)
        return found >> 32, found & 0xFFFFFFFF, shares

    def histories(self, ids_K: np.ndarray) -> np.ndarray:
        """Log-odds float64 [K] that a label is accepted when it is asked about, smoothed."""
        accepted = self._kept.accepted_L[ids_K] + ACCEPTED
        asked = self._kept.asked_L[ids_K] + ASKED
        odds: np.ndarray = np.log(accepted) - np.log(np.maximum(asked - accepted, 1e-3))
        return odds


def document_key(doc_id: str) -> int:
    """What a remembered document is known by: 64 bits of its id's hash."""
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest(), "big")
