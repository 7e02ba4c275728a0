"""Model output to an answer. Total: every input gives yes, no or unclear."""

from __future__ import annotations

import math
import re

YES = re.compile(r"\byes\b", re.IGNORECASE)
NO = re.compile(r"\bno\b", re.IGNORECASE)


def from_log_probabilities(yes: float | None, no: float | None) -> tuple[str, float | None]:
    """(answer, P(yes)) renormalised over the two tokens: sigmoid(log p(yes) - log p(no))."""
    if yes is None or no is None or math.isnan(yes) or math.isnan(no) or yes == no == -math.inf:
        return "unclear", None
    margin = yes - no
    if margin >= 0:
        p_yes = 1.0 / (1.0 + math.exp(-margin))
    else:
        p_yes = math.exp(margin) / (1.0 + math.exp(margin))
    return ("yes" if p_yes > 0.5 else "no"), p_yes


def from_text(text: str) -> str:
    """The answer a reply states: the first whole word yes or no; both or neither is unclear."""
    yes, no = YES.search(text), NO.search(text)
    if bool(yes) == bool(no):
        return "unclear"
    return "yes" if yes else "no"
