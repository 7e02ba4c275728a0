"""Is this judge any good here? Numbers over some verdicts, and what they mean in words.

Nothing here needs to know what is true. A judge that says the same of every pair, or that does not
say yes or no at all, teaches nothing, and that shows after a few hundred pairs.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.priors import log_odds
from lmtx_ray.teacher.protocol import Interrupted

ENOUGH_PAIRS = 100  # below this nothing is concluded
LEAST_CLEAR = 0.5
RARE = 0.02  # a share of yes below this, or above one minus it, is weak
LEAST_SPREAD = 0.02  # of P(yes), between its 5th and 95th percentile
LEAST_ODDS_SPREAD = 0.1  # the same of its log-odds, where the order is all that counts
OPENING = re.compile(r'^begins with "((?:[^"\\]|\\.)*)"')
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class JudgeUseless(Interrupted, ConfigError):
    """The judge's answers on a sample teach nothing; says why and what to do."""


@dataclass(frozen=True)
class Health:
    """Shares are of all pairs but `yes_rate`, which is of the clear ones. Masses and quantiles of
    P(yes) are None where the judge gives no probabilities."""

    pairs: int
    unclear_rate: float
    yes_rate: float
    mass_mean: float | None
    mass_low: float | None  # 5th percentile
    p_yes_quantiles: dict[str, float] | None
    openings: dict[str, int]  # what unclear answers begin with, the most frequent first


def examine(verdicts: pa.Table) -> Health:
    """Health of the answers in a table with the columns answer, p_yes, mass and raw."""
    answers = verdicts["answer"].to_pylist()
    clear = [answer for answer in answers if answer != "unclear"]
    mass = np.array(verdicts["mass"].drop_null().to_pylist(), np.float64)
    p_yes = np.array(verdicts["p_yes"].drop_null().to_pylist(), np.float64)
    raws = [
        raw
        for raw, answer in zip(verdicts["raw"].to_pylist(), answers, strict=True)
        if answer == "unclear" and raw
    ]
    return Health(
        pairs=len(answers),
        unclear_rate=1 - len(clear) / max(len(answers), 1),
        yes_rate=clear.count("yes") / max(len(clear), 1),
        mass_mean=float(mass.mean()) if len(mass) else None,
        mass_low=float(np.quantile(mass, 0.05)) if len(mass) else None,
        p_yes_quantiles={f"{q:.0%}": float(np.quantile(p_yes, q)) for q in QUANTILES}
        if len(p_yes)
        else None,
        openings=dict(Counter(map(_opening, raws)).most_common(5)),
    )


def _opening(raw: str) -> str:
    found = OPENING.match(raw)
    return found[1] if found else raw.strip()[:20]


def conclusion(health: Health, by_order: bool = False) -> tuple[str, str]:
    """("usable" | "weak" | "useless" | "unknown", why and what to do) from numbers alone.

    `by_order` says that labels are accepted by the order of each document's verdicts: it does not
    matter then how rare a yes is.
    """
    if health.pairs < ENOUGH_PAIRS:
        return "unknown", f"{health.pairs} pairs are too few to tell; ask {ENOUGH_PAIRS} or more"
    if health.unclear_rate > LEAST_CLEAR:
        return "useless", _unheard(health)
    spread = _spread(health, by_order)
    if health.yes_rate in (0.0, 1.0) and not (by_order and spread is not None):
        word = "yes" if health.yes_rate else "no"
        order = ", or accept by each document's own order (pseudo_labels.accept_deviations)"
        return "useless", (
            f"it says {word} to every pair: try another judge.teacher.prompt or a larger model"
            + (order if spread is not None else "")
        )
    if spread is not None and spread < (LEAST_ODDS_SPREAD if by_order else LEAST_SPREAD):
        measure = "log-odds" if by_order else "P(yes)"
        return "useless", (
            f"it tells nothing apart: 90 % of its {measure} lie within {spread:.3f} of each other; "
            "try another judge.teacher.prompt or a larger model"
        )
    return _weakness(health, by_order)


def _weakness(health: Health, by_order: bool) -> tuple[str, str]:
    if not by_order and not RARE <= health.yes_rate <= 1 - RARE:
        return "weak", (
            f"it says yes to {health.yes_rate:.1%} of the pairs; where its order is right all the "
            "same, accept by each document's own order (pseudo_labels.accept_deviations)"
        )
    if health.unclear_rate > 0.1:
        return "weak", f"{health.unclear_rate:.0%} of its answers are unclear: {_unheard(health)}"
    return "usable", "it answers yes or no, and not always the same"


def _spread(health: Health, by_order: bool) -> float | None:
    if health.p_yes_quantiles is None:
        return None
    low, high = (health.p_yes_quantiles[name] for name in ("5%", "95%"))
    return log_odds(high) - log_odds(low) if by_order else high - low


def _unheard(health: Health) -> str:
    mass = "" if health.mass_mean is None else f" (mean mass {health.mass_mean:.3f})"
    begins = ", ".join(f"{text!r} ({count})" for text, count in health.openings.items())
    thinks = any("<think" in text for text in health.openings)
    return (
        f"this model does not begin with yes or no{mass}"
        + (f"; it begins with {begins}" if begins else "")
        + ": try another judge.teacher.prompt, a judge.teacher.answer_prefix"
        + (
            ", or, as it thinks first, judge.teacher.thinking_tokens"
            if thinks
            else " or, if it thinks first, judge.teacher.thinking_tokens"
        )
    )


def refuse_useless(verdicts: pa.Table, by_order: bool = False) -> None:
    """Raises JudgeUseless where a sample of verdicts shows that more of them would be wasted."""
    health = examine(verdicts)
    name, why = conclusion(health, by_order)
    if name == "useless":
        raise JudgeUseless(
            f"judge: useless here after {health.pairs} pairs: {why}. What was asked is kept; "
            "--force goes on all the same"
        )
