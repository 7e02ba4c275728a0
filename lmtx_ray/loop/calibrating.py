"""What the judge and people said of the held-aside documents' candidates, and the probabilities
that are fitted on it. Shapes: N candidates, K of one document, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.calibration import Calibration, fit
from lmtx_ray.evaluation.correction import Correction, fit_correction, moved
from lmtx_ray.evaluation.kindness import AT_ITS_WORD, FEWEST, Kindness, fit_through
from lmtx_ray.evaluation.pair_features import DENSE, FUSED, Known, by_document, pair_features
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student.pseudo_labels import target
from lmtx_ray.teacher.questions import FIRST_WORDS

RANKED = ("doc_id", "label_ids", "scores")
WEIGHED = Calibration().features  # the score alone
KEPT = 20  # candidates of a document that a bundle keeps, beside those that were judged
UNKNOWN = float("nan")
Pair = tuple[str, int]  # doc_id, label_id


@dataclass(frozen=True)
class Sides:
    """The published rankings of one state: the one that counts and what it was made from; `lexical`
    is None where that side plays no part. `weighed` says that all sides are in the scores, which a
    judge's answers made: then `lexical` tells the pairs that it had no hand in."""

    ranked: Dataset
    dense: Dataset
    lexical: Dataset | None
    depth: int
    weighed: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """What a probability is made from; in the scores of weighed sides all is already."""
        if self.weighed:
            return WEIGHED
        return DENSE if self.lexical is None else FUSED

    def known(self, doc_ids: pa.Array) -> Iterator[tuple[str, Known]]:
        """Each document with what there is on it."""
        ranked = _lists(self.ranked, doc_ids)
        dense = _lists(self.dense, doc_ids)
        lexical = _lists(self.lexical, doc_ids) if self.lexical else {}
        for doc_id, own in ranked.items():
            yield doc_id, Known(own, dense[doc_id], lexical.get(doc_id), self.depth)


def _lists(step: Dataset, doc_ids: pa.Array) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return by_document(step.where("doc_id", doc_ids, RANKED))


@dataclass(frozen=True)
class Held:
    """Candidates of held-aside documents, each document's together and best first.

    `documents_N` and `labels_N` are keys of texts (bytes). `judged_N` is the judge's P(yes), 1 or 0
    of an answer without one, nan of an unclear one and where it was not asked; `accepted_N` 1 where
    its answer is yes, 0 where it is another, nan where it was not asked; `reviewed_N` what people
    said, 1 or 0, nan where nobody did. `by_words_N` is true of the first labels that a document's
    words find, and of all where no list of words is known.
    """

    documents_N: np.ndarray
    labels_N: np.ndarray
    places_N: np.ndarray
    features_NF: np.ndarray
    judged_N: np.ndarray
    accepted_N: np.ndarray
    reviewed_N: np.ndarray
    by_words_N: np.ndarray


@dataclass(frozen=True)
class Said:
    """What was said of held-aside documents: (answer, P(yes)) of the judge in `verdicts`, and in
    `reviews` whether people said yes."""

    verdicts: Mapping[Pair, tuple[str, float | None]]
    reviews: Mapping[Pair, bool]


def held_pairs(
    known: Iterator[tuple[str, Known]],
    names: tuple[str, ...],
    said: Said,
    document_key: Mapping[str, bytes],
    label_key: Callable[[int], bytes],
) -> Held:
    """All candidates of some documents, with what was said of them.

    Args:
        document_key: Of each doc_id.
        label_key: Of a label_id.
    """
    parts = []
    for doc_id, document in known:
        labels = document.ranked[0].tolist()
        pairs = [(doc_id, label) for label in labels]
        answers = [said.verdicts.get(pair) for pair in pairs]
        parts.append(
            (
                np.array([document_key[doc_id]] * len(pairs), object),
                np.array([label_key(label) for label in labels], object),
                np.arange(len(pairs), dtype=np.int32),
                pair_features(document, names),
                _numbers(None if one is None else target(*one) for one in answers),
                _numbers(None if one is None else one[0] == "yes" for one in answers),
                _numbers(said.reviews.get(pair) for pair in pairs),
                _by_words(document),
            )
        )
    if not parts:
        nothing = np.zeros(0)
        none = np.zeros((0, len(names)))
        no_words = nothing.astype(bool)
        return Held(nothing, nothing, nothing, none, nothing, nothing, nothing, no_words)
    return Held(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _by_words(document: Known) -> np.ndarray:
    ids_K = document.ranked[0]
    if document.lexical is None:
        return np.ones(len(ids_K), bool)
    return np.isin(ids_K, document.lexical[0][:FIRST_WORDS])


def _numbers(values: Iterable[float | bool | None]) -> np.ndarray:
    return np.array([UNKNOWN if value is None else float(value) for value in values])


@dataclass(frozen=True)
class Fitted:
    """Probabilities, what they correct the judge by, how likely each candidate is right as far as
    anybody said something of it: float64 [N], else nan; and how kind the judge is taken to be."""

    calibration: Calibration
    correction: Correction
    right_N: np.ndarray
    kindness: Kindness = AT_ITS_WORD


def calibrate(held: Held, names: tuple[str, ...], wrong: float | None = None) -> Fitted:
    """Fit on the judge's P(yes), or, where people reviewed pairs, on what their answers make of it
    (see `correction`). A reviewed pair counts as reviewed; an unclear answer is no target.

    A ranking of weighed sides was made by the judge's answers, so among its first labels those that
    a judge likes beyond their worth are too many. Its scores are fitted on pairs that it had no
    hand in: the first that the words find. There the judge is read by how kind it is (`kindness`).
    Of too few such pairs the scores stay the log-odds that they are.

    Args:
        wrong: The judge's mean P(yes) of labels drawn by chance; None: it is taken at its word.
    """
    if names == WEIGHED:
        plain, kindness = _fit_weighed(held, names, wrong)
    else:
        plain, kindness = _fit(held, names, held.judged_N), AT_ITS_WORD
    known_N = ~np.isnan(held.reviewed_N)
    if not known_N.any():
        return Fitted(plain, Correction(), held.accepted_N, kindness)
    student_N = plain.log_odds(held.features_NF)
    correction = fit_correction(held.judged_N, student_N, held.reviewed_N)
    corrected_N = correction.apply(held.judged_N, student_N)
    # reviews are no reason to fit weighed sides on what the judge had a hand in
    prior = plain if names == WEIGHED else _fit(held, names, corrected_N)
    calibration = moved(prior, held.features_NF[known_N], held.reviewed_N[known_N])
    guessed_N = np.where(np.isnan(corrected_N), held.accepted_N, corrected_N)
    right_N = np.where(known_N, held.reviewed_N, guessed_N)
    return Fitted(calibration, correction, right_N, kindness)


def _fit(held: Held, names: tuple[str, ...], targets_N: np.ndarray) -> Calibration:
    targets_N = np.where(np.isnan(held.reviewed_N), targets_N, held.reviewed_N)
    given_N = ~np.isnan(targets_N)
    return fit(held.features_NF[given_N], targets_N[given_N], names)


def _fit_weighed(
    held: Held, names: tuple[str, ...], wrong: float | None
) -> tuple[Calibration, Kindness]:
    own_N = held.by_words_N & ~np.isnan(held.judged_N)
    if own_N.sum() < FEWEST:
        return Calibration(), AT_ITS_WORD
    return fit_through(held.features_NF[own_N], held.judged_N[own_N], names, wrong)


def judged_tags(held: Held, fitted: Fitted) -> pa.Table:
    """JUDGED_TAGS: the first candidates of each document, and all of which something is known."""
    kept_N = (held.places_N < KEPT) | ~np.isnan(fitted.right_N)
    features_NF = held.features_NF[kept_N]
    table = pa.table(
        {
            "document": pa.array(held.documents_N[kept_N].tolist(), pa.binary(16)),
            "label": pa.array(held.labels_N[kept_N].tolist(), pa.binary(16)),
            "place": held.places_N[kept_N].astype(np.int32),
            "features": pa.array(features_NF.tolist(), pa.list_(pa.float64())),
            "p_yes": _optional(held.judged_N[kept_N]),
            "accepted": _optional(held.accepted_N[kept_N]).cast(pa.bool_()),
            "reviewed": _optional(held.reviewed_N[kept_N]).cast(pa.bool_()),
            "by_words": held.by_words_N[kept_N],
            "right": _optional(fitted.right_N[kept_N]),
            "probability": fitted.calibration.apply(features_NF),
        }
    )
    return schemas.conform(table, schemas.JUDGED_TAGS)


def _optional(values_N: np.ndarray) -> pa.Array:
    return pa.array(values_N, pa.float64(), mask=np.isnan(values_N))


def held_of(table: pa.Table, reviews: Mapping[tuple[bytes, bytes], bool]) -> Held:
    """What `judged_tags` gave, with other answers of people, by keys of document and label."""
    documents, labels = table["document"].to_pylist(), table["label"].to_pylist()
    reviewed = [reviews.get(pair) for pair in zip(documents, labels, strict=True)]
    none_N = np.zeros(len(labels), bool)  # of a bundle that does not tell
    return Held(
        np.array(documents, object),
        np.array(labels, object),
        table["place"].to_numpy(),
        np.array(table["features"].to_pylist(), np.float64),
        _numbers(table["p_yes"].to_pylist()),
        _numbers(table["accepted"].to_pylist()),
        _numbers(reviewed),
        table["by_words"].to_numpy() if "by_words" in table.column_names else none_N,
    )
