"""What a judge is worth, as numbers and a word, and what it costs: see `judge_check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.config.judge import PriceConfig
from lmtx_ray.loop.alarms import told
from lmtx_ray.student.pseudo_labels import area_under_curve, probability
from lmtx_ray.teacher import health

WEAK_AUC = 0.6


def conclude(
    verdicts: pa.Table,
    ranked: dict[str, list[int]],
    given: dict[str, dict[int, bool]],
    second: pa.Table | None,
    by_order: bool = False,
) -> dict[str, Any]:
    """Numbers over VERDICTS on shortlisted and random labels, or on pairs whose right answer is
    `given`; the verdict on the judge, and why. `second` are answers under another prompt."""
    rows = verdicts.to_pylist()
    is_near = np.array([row["label_id"] in ranked[row["doc_id"]] for row in rows], dtype=bool)
    near = [row for row, there in zip(rows, is_near, strict=True) if there]
    state = health.examine(verdicts if given else verdicts.filter(pa.array(is_near)))
    result: dict[str, Any] = {"health": asdict(state)}
    if not given:
        result["auc_against_random_labels"] = _auc(rows, is_near)
        first_half = [ranked[row["doc_id"]].index(row["label_id"]) for row in near]
        middle = np.median(first_half) if first_half else 0
        result["auc_of_shortlist_order"] = _auc(near, np.array(first_half) < middle)
    else:
        result |= _against(rows, ranked, given)
    if second is not None:
        result["agreement_with_itself"] = _agreement(rows, second.to_pylist())
    name, why = _verdict(state, result, by_order)
    return {"verdict": name, "why": why, **result}


def _auc(rows: list[dict[str, Any]], true: np.ndarray) -> float | None:
    p_yes = np.array([probability(row["answer"], row["p_yes"]) for row in rows])
    value = area_under_curve(p_yes, true.astype(bool))
    return None if np.isnan(value) else round(value, 4)


def _against(
    rows: list[dict[str, Any]], ranked: dict[str, list[int]], given: dict[str, dict[int, bool]]
) -> dict[str, Any]:
    true = np.array([given[row["doc_id"]][row["label_id"]] for row in rows], dtype=bool)
    yes = np.array([row["answer"] == "yes" for row in rows], dtype=bool)
    places = [
        ranked[row["doc_id"]].index(row["label_id"])
        if row["label_id"] in ranked[row["doc_id"]]
        else 10**6
        for row in rows
    ]
    order = area_under_curve(-np.array(places, float), true)
    hits = float((true & yes).sum())
    return {
        "expected": {
            "pairs": len(rows),
            "precision": round(hits / max(yes.sum(), 1), 4),
            "recall": round(hits / max(true.sum(), 1), 4),
            "auc": _auc(rows, true),
            "auc_of_shortlist_order": None if np.isnan(order) else round(order, 4),
        }
    }


def _agreement(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> float | None:
    """Share of equal answers among pairs that are clear in both."""
    other = {(row["doc_id"], row["label_id"]): row["answer"] for row in second}
    both = [(row["answer"], other.get((row["doc_id"], row["label_id"]))) for row in first]
    clear = [(a, b) for a, b in both if {a, b} <= {"yes", "no"}]
    return round(sum(a == b for a, b in clear) / len(clear), 4) if clear else None


def _verdict(
    state: health.Health, result: dict[str, Any], by_order: bool = False
) -> tuple[str, str]:
    name, why = health.conclusion(state, by_order)
    known = result.get("expected")
    if name == "useless" or (name == "unknown" and not known):
        return name, why
    if known and known["auc"] is not None:
        order = known["auc_of_shortlist_order"]
        if known["auc"] < WEAK_AUC:
            return "useless", f"its AUC on the expected answers is {known['auc']:.2f}"
        if order is not None and known["auc"] <= order:
            return "weak", (
                f"its AUC on the expected answers, {known['auc']:.2f}, is not above "
                f"that of the shortlist's own order, {order:.2f}"
            )
    far = result.get("auc_against_random_labels")
    if far is not None and far < WEAK_AUC:
        return "useless", f"it hardly tells shortlisted labels from random ones (AUC {far:.2f})"
    agreement = result.get("agreement_with_itself")
    if agreement is not None and agreement < 0.7:
        return "weak", f"under another prompt it answers {1 - agreement:.0%} of the pairs otherwise"
    return name, why


def cost_of(price: PriceConfig, usage: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What 1,000 judgements cost, of those that were asked now."""
    asked = usage["requests"]
    if not asked:
        return {"asked": 0}
    money = price.of(usage["prompt_tokens"], usage["answer_tokens"])
    each = 1000 / asked
    return {
        "asked": asked,
        "seconds_with_start": round(seconds, 1),
        "per_1000": {
            "prompt_tokens": round(usage["prompt_tokens"] * each),
            "answer_tokens": round(usage["answer_tokens"] * each),
            "seconds": round(usage["seconds"] * each, 2),
            "money": round(money * each, 4),
        },
    }


def render(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    state = result["health"]
    lines = [
        f"judge: {result['verdict']}: {result['why']}",
        f"pairs {state['pairs']}, yes {state['yes_rate']:.1%} of the clear ones, "
        f"unclear {state['unclear_rate']:.1%}",
    ]
    if state["mass_mean"] is not None:
        lines.append(
            f"mass of yes and no together: mean {state['mass_mean']:.3f}, "
            f"5th percentile {state['mass_low']:.3f}"
        )
    if state["p_yes_quantiles"]:
        values = ", ".join(f"{q} {p:.3f}" for q, p in state["p_yes_quantiles"].items())
        lines.append(f"P(yes) at {values}")
    names = {
        "auc_against_random_labels": "AUC of candidates against random labels",
        "auc_of_shortlist_order": "AUC of the shortlist's first half against its second",
        "agreement_with_itself": f"agreement under prompt {result.get('second_prompt')}",
    }
    lines += [f"{about}: {result[name]}" for name, about in names.items() if name in result]
    lines += told(result)
    if known := result.get("expected"):
        lines.append(", ".join(f"{name} {value}" for name, value in known.items()))
    if per := result["cost"].get("per_1000"):
        lines.append(
            f"1,000 judgements: {per['prompt_tokens']:,} prompt tokens, "
            f"{per['seconds']:.1f} s, {per['money']:g} in money"
        )
    return "\n".join(lines)
