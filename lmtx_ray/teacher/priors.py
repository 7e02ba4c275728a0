"""A judge's own P(yes), with what it thinks of a label whatever the document says taken out.

Some labels are liked by a judge and some are not. Asked about a document that says nothing, it
tells how much: the label's prior. The log-odds of an answer minus those of the prior say what the
document adds. Both are kept as they were said; this is how they are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.text_keys import KEY_BYTES, document_text, text_key
from lmtx_ray.teacher.protocol import QUESTIONS
from lmtx_ray.teacher.reading import Reading, decide

NOTHING = "N/A"  # a document that says nothing
DOC_ID = ""  # no document of a corpus is called so
SURE = 1e-9  # log-odds end here


@dataclass(frozen=True)
class Calibration:
    """How P(yes) of a pair is read: `priors` are P(yes) of labels on a document that says nothing,
    by the label's key; a label without one is read as it is."""

    priors: Mapping[bytes, float] = field(default_factory=dict)
    temperature: float = 1.0

    def of(self, label: bytes, p_yes: float) -> float:
        """P(yes) without the label's prior, over the temperature."""
        prior = self.priors.get(label)
        if prior is None and self.temperature == 1:
            return p_yes
        odds = log_odds(p_yes) - (0.0 if prior is None else log_odds(prior))
        return sigmoid(odds / self.temperature)


AS_SAID = Calibration()


def read(
    stored: Mapping[str, Any], least_mass: float, calibration: Calibration = AS_SAID
) -> Reading:
    """A row of STORED_VERDICTS as it counts now. With too little mass the answer is unclear,
    whatever the store says: the threshold may have changed since, and so may how P(yes) is read."""
    answer, p_yes, mass = stored["answer"], stored["p_yes"], stored["mass"]
    if p_yes is not None:
        p_yes = calibration.of(stored["label"], p_yes)
        answer = decide(p_yes, mass, least_mass)
    return Reading(answer, p_yes, mass, stored["raw"])


def log_odds(p_yes: float, least: float = SURE) -> float:
    """The logarithm of p : 1 - p, finite: no p is less than `least`, or 1 - p."""
    p_yes = min(max(p_yes, least), 1 - least)
    return math.log(p_yes) - math.log1p(-p_yes)


def sigmoid(odds: float) -> float:
    """P(yes) of log-odds."""
    return 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))


def document_key() -> bytes:
    """By what the answers about labels alone are known in a store."""
    return text_key(document_text(None, NOTHING))


def questions_about(labels: Sequence[str]) -> pa.Table:
    """QUESTIONS about the document that says nothing; a label's id is its place."""
    row = {
        "doc_id": DOC_ID,
        "title": None,
        "text": NOTHING,
        "label_ids": list(range(len(labels))),
        "label_texts": list(labels),
    }
    return pa.Table.from_pylist([row] if labels else [], schema=QUESTIONS)


def asked_alone(stored: pa.Table) -> set[bytes]:
    """Keys of the labels in the rows of STORED_VERDICTS on the document that says nothing, of those
    without a P(yes) too: an unclear answer is paid for like any other."""
    nothing = pa.scalar(document_key(), pa.binary(KEY_BYTES))
    return set(stored.filter(pc.equal(stored["document"], nothing))["label"].to_pylist())


def priors_in(stored: pa.Table) -> dict[bytes, float]:
    """Label key -> P(yes) of the rows of STORED_VERDICTS on the document that says nothing."""
    found: dict[bytes, float] = {}
    nothing = document_key()
    for row in stored.select(["document", "label", "p_yes"]).to_pylist():
        if row["document"] == nothing and row["p_yes"] is not None:
            found.setdefault(row["label"], row["p_yes"])
    return found
