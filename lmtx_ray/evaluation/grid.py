"""What tags are worth at each least probability and each limit of tags a document.

Shapes: N candidates of all documents, B documents, C cells (threshold and limit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.evaluation.metrics import bootstrap_ratios

SEED, SAMPLES = 13, 1000
THRESHOLDS = tuple(round(0.01 * n, 2) for n in range(100))
LIMITS = (1, 2, 3, 5, 10)
LEAST_TAGS = 20  # fewer say too little of a precision
LEAST_KNOWN = 0.9  # of the tags of a cell, for its precision to count


@dataclass(frozen=True)
class Rated:
    """Candidates of B documents, each document's together and best first.

    `documents_N` are numbers from 0, `right_N` says how likely each is right (1 or 0 where that is
    known, nan where nobody knows), and `wanted_B` how many labels each document should have.
    """

    documents_N: np.ndarray
    probabilities_N: np.ndarray
    right_N: np.ndarray
    wanted_B: np.ndarray


@dataclass(frozen=True)
class Cell:
    """Tags of at least `threshold`, the first `limit` of a document.

    Precision is over all tags whose rightness is `known` (a share of them), recall over all labels
    that are wanted. Intervals are of 95 %, over resampled documents; that of the precision is at
    least as wide as Wilson's, as tags that are all right would otherwise leave no doubt.
    """

    threshold: float
    limit: int
    precision: float
    precision_ci: tuple[float, float]
    recall: float
    recall_ci: tuple[float, float]
    f1: float
    tags: int
    tags_per_document: float
    untagged: float  # share of documents without a tag
    known: float

    @property
    def counts(self) -> bool:
        """Whether there is enough to say something of its precision."""
        return self.tags >= LEAST_TAGS and self.known >= LEAST_KNOWN

    def to_dict(self) -> dict[str, Any]:
        """As JSON, rounded to four places."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def grid(
    rated: Rated,
    thresholds: Sequence[float] = THRESHOLDS,
    limits: Sequence[int] = LIMITS,
    seed: int = SEED,
) -> list[Cell]:
    """A cell for each limit and threshold, in this order.

    Raises:
        ValueError: No document, or a threshold or limit that no tags can have.
    """
    if len(rated.wanted_B) == 0:
        raise ValueError("no document to choose a threshold from")
    if min(limits) < 1 or min(thresholds) < 0 or max(thresholds) > 1:
        raise ValueError("limits are at least 1, thresholds between 0 and 1")
    pairs = [(limit, threshold) for limit in limits for threshold in thresholds]
    given, known, right = _counts(rated, pairs)
    wanted_BC = np.repeat(rated.wanted_B[:, None].astype(np.float64), len(pairs), axis=1)
    precision_ci = _intervals(right, known, seed)
    recall_ci = _intervals(right, wanted_BC, seed)
    return [
        _cell(threshold, limit, given[:, c], known[:, c], right[:, c], rated.wanted_B, *both)
        for c, ((limit, threshold), both) in enumerate(
            zip(pairs, zip(precision_ci, recall_ci, strict=True), strict=True)
        )
    ]


def _counts(
    rated: Rated, pairs: Sequence[tuple[int, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tags given, those whose rightness is known, right ones), float64 [B, C] each."""
    counts = [np.zeros((len(rated.wanted_B), len(pairs))) for _ in range(3)]
    is_known_N = ~np.isnan(rated.right_N)
    for column, (limit, threshold) in enumerate(pairs):
        tagged_N = first_of_each(rated, threshold, limit)
        for table, weights_N in zip(
            counts,
            (np.ones(len(is_known_N)), is_known_N, np.nan_to_num(rated.right_N)),
            strict=True,
        ):
            table[:, column] = np.bincount(
                rated.documents_N[tagged_N], weights_N[tagged_N], len(rated.wanted_B)
            )
    return counts[0], counts[1], counts[2]


def first_of_each(rated: Rated, threshold: float, limit: int) -> np.ndarray:
    """Boolean [N]: the first `limit` candidates of each document that have `threshold`."""
    enough_N = rated.probabilities_N.astype(np.float64) >= threshold  # as a Tagger does
    before_N: np.ndarray = np.cumsum(enough_N) - enough_N  # candidates before, of all documents
    starts_N = np.searchsorted(rated.documents_N, rated.documents_N, side="left")
    place_N: np.ndarray = before_N - before_N[starts_N]
    tagged_N: np.ndarray = enough_N & (place_N < limit)
    return tagged_N


def _cell(
    threshold: float,
    limit: int,
    given_B: np.ndarray,
    known_B: np.ndarray,
    right_B: np.ndarray,
    wanted_B: np.ndarray,
    precision_ci: tuple[float, float],
    recall_ci: tuple[float, float],
) -> Cell:
    tags = float(given_B.sum())
    precision = _ratio(right_B.sum(), known_B.sum())
    recall = _ratio(right_B.sum(), wanted_B.sum())
    return Cell(
        threshold=float(threshold),
        limit=limit,
        precision=precision,
        precision_ci=Measured(precision, *precision_ci).widened(float(known_B.sum()))[1:],
        recall=recall,
        recall_ci=recall_ci,
        f1=_ratio(2 * precision * recall, precision + recall),
        tags=int(tags),
        tags_per_document=tags / len(given_B),
        untagged=float((given_B == 0).mean()),
        known=_ratio(known_B.sum(), tags),
    )


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else 0.0


def _intervals(above_BC: np.ndarray, below_BC: np.ndarray, seed: int) -> list[tuple[float, float]]:
    """95 % intervals of each cell's ratio; 0 where nothing is below."""
    found = bootstrap_ratios(above_BC, below_BC, seed, SAMPLES)
    return [ratio[1:] if ratio else (0.0, 0.0) for ratio in found]


@dataclass(frozen=True)
class Choice:
    """The cell to use, or, where none has the precision, `cell` None and the `nearest`."""

    cell: Cell | None
    nearest: Cell | None


def choose(cells: Sequence[Cell], precision: float, confident: bool = False) -> Choice:
    """The cell of most recall whose precision, or, if `confident`, the lower end of its interval,
    is at least `precision`; only cells that count."""

    def reached(cell: Cell) -> float:
        return cell.precision_ci[0] if confident else cell.precision

    eligible = [cell for cell in cells if cell.counts]
    good = [cell for cell in eligible if reached(cell) >= precision]
    best = max(
        good,
        key=lambda cell: (cell.recall, cell.precision, -cell.limit, -cell.threshold),
        default=None,
    )
    nearest = max(eligible, key=lambda cell: (reached(cell), cell.recall), default=None)
    return Choice(best, nearest)
