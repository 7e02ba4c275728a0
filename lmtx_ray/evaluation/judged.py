"""Precision by a judge's opinion, and what it is worth where people looked at some of its answers.

Shapes: B documents, K first labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.evaluation.metrics import MOST_WEIGHTS, bootstrap_mean

SEED = 13
SAMPLES = 2000


@dataclass(frozen=True)
class Reviewed:
    """What people said of pairs that the judge answered too: of `yes` pairs it accepted
    `right_yes` are right, and of `no` pairs it did not accept `right_no`."""

    yes: int
    right_yes: int
    no: int
    right_no: int

    @property
    def pairs(self) -> int:
        """How many both looked at."""
        return self.yes + self.no

    def to_dict(self) -> dict[str, Any]:
        """Counts, accuracy and Cohen's kappa, None where there are no pairs."""
        agreement = agreement_of(self.right_yes, self.yes, self.right_no, self.no)
        return {"pairs": self.pairs, **agreement}


def agreement_of(right_yes: int, yes: int, right_no: int, no: int) -> dict[str, float | None]:
    """Accuracy and Cohen's kappa of two who answer yes or no: of `yes` pairs that the one accepts
    the other accepts `right_yes`, of the `no` others `right_no`. Kappa is None where one of them
    knows one answer only."""
    pairs = yes + no
    if not pairs:
        return {"accuracy": None, "kappa": None}
    same = (right_yes + no - right_no) / pairs
    others = (right_yes + right_no) / pairs
    chance = yes / pairs * others + no / pairs * (1 - others)
    kappa = None if chance > 1 - 1e-12 else round((same - chance) / (1 - chance), 4)
    return {"accuracy": round(same, 4), "kappa": kappa}


@dataclass(frozen=True)
class Judged:
    """The first K labels of B documents: which the judge accepts, which a person looked at, and
    which are there at all, all boolean. Of the looked-at ones `accepts_BK` is what the person said.
    """

    accepts_BK: np.ndarray
    by_person_BK: np.ndarray
    present_BK: np.ndarray

    def precision(self, cuts: Sequence[int], seed: int = SEED) -> dict[str, Any]:
        """{"P@1": share that is accepted, "P@1_ci": its 95 % bootstrap interval over documents, …};
        an absent label is wrong."""
        told: dict[str, Any] = {}
        for k in cuts:
            shares_B = (self.accepts_BK & self.present_BK)[:, :k].sum(axis=1) / k
            told |= bootstrap_mean(shares_B, seed).told(f"P@{k}")
        return told

    def corrected(
        self, reviewed: Reviewed, cuts: Sequence[int], seed: int = SEED
    ) -> dict[str, Any] | None:
        """The same, where a pair that no person saw counts by how often the judge's answer is right
        where people looked. Intervals hold both doubts: which documents were drawn, and which pairs
        were reviewed. None if people saw no pair that the judge accepts."""
        if not reviewed.yes:
            return None
        open_BK = self.present_BK & ~self.by_person_BK
        parts = (
            self.present_BK & self.by_person_BK & self.accepts_BK,  # right, as a person says
            open_BK & self.accepts_BK,
            open_BK & ~self.accepts_BK,
        )
        told: dict[str, Any] = {}
        for k in cuts:
            shares_B3 = np.stack([part[:, :k].sum(axis=1) / k for part in parts], axis=1)
            told |= _corrected(shares_B3, reviewed, seed).told(f"P@{k}")
        return told


def _corrected(shares_B3: np.ndarray, reviewed: Reviewed, seed: int) -> Measured:
    """Of shares known to be right, accepted and not accepted by the judge."""
    generator, documents = np.random.default_rng(seed), len(shares_B3)
    size = max(min(SAMPLES, MOST_WEIGHTS // documents), 100)
    weights_SB = generator.multinomial(documents, np.full(documents, 1 / documents), size=size)
    means_S3 = weights_SB @ shares_B3 / documents
    kept_S = generator.beta(reviewed.right_yes + 0.5, reviewed.yes - reviewed.right_yes + 0.5, size)
    missed_S = generator.beta(reviewed.right_no + 0.5, reviewed.no - reviewed.right_no + 0.5, size)
    if not reviewed.no:  # nobody looked at what the judge does not accept: it is taken at its word
        missed_S[:] = 0
    drawn_S = means_S3[:, 0] + kept_S * means_S3[:, 1] + missed_S * means_S3[:, 2]
    known, accepted, refused = shares_B3.mean(axis=0)
    mean = known + accepted * reviewed.right_yes / reviewed.yes
    mean += refused * reviewed.right_no / max(reviewed.no, 1)
    low, high = np.percentile(drawn_S, [2.5, 97.5])
    return Measured(float(mean), float(low), float(high))
