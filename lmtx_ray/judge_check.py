"""`lmtx judge-check`: asks about a few pairs, and says what the judge is worth and costs.

What is asked counts as judged: the run finds it in the store. Candidates are the run's shortlists
where they are published, else those of the lexical index, which needs no model.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray import candidates, schemas, storage
from lmtx_ray.config import ConfigError
from lmtx_ray.corpus import prepare_corpus
from lmtx_ray.judging import asking_of
from lmtx_ray.layout import Layout, lay_out
from lmtx_ray.lexical import LexicalIndex
from lmtx_ray.lines import BadRow
from lmtx_ray.pseudo_labels import area_under_curve
from lmtx_ray.settings import RunConfig
from lmtx_ray.stages.judge import Asking
from lmtx_ray.stages.sample import ask_sample
from lmtx_ray.teacher import health
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import PROMPTS, get_prompt
from lmtx_ray.text_keys import document_text
from lmtx_ray.verdicts.exchange import read_file

logger = logging.getLogger(__name__)
EACH = 8  # candidates of a document
RANDOM = 2  # labels of a document drawn by chance: what a judge must tell from candidates
MOST_READ = 2000  # documents, where the corpus is not prepared yet
SOURCE = "judge check"
WEAK_AUC = 0.6


def check(
    config: RunConfig, pairs: int, expected: str | None, second_prompt: str | None,
    start_ray: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Asks, and returns numbers, costs, and a verdict: usable, weak or useless, with the reason."""
    layout = lay_out(config)
    documents, labels = _corpus(config, layout)
    given = _expected(expected, documents, labels) if expected else {}
    sample = _sample(documents, max(pairs // EACH, 1), set(given))
    ranked = _ranked(config, layout, sample, labels)
    chosen = _chosen(ranked, labels.num_rows, given)
    start_ray(config.run)
    with tempfile.TemporaryDirectory(prefix="lmtx-") as scratch:
        files = _label_files(layout, labels, scratch)
        rankings = _as_rankings(chosen)
        first = _ask(config, layout, None, sample, rankings, files)
        other = _other_prompt(config, second_prompt)
        second = _ask(config, layout, other, sample, rankings, files) if other else None
    result = _conclude(first[0], ranked, given, second[0] if second else None)
    return {**result, "second_prompt": other, "cost": _cost(config, *first[1:])}


def _corpus(config: RunConfig, layout: Layout) -> tuple[pa.Table, pa.Table]:
    if layout.documents.is_complete() and layout.labels.is_complete():
        return storage.read_table(layout.documents.files()[0]), layout.labels.read()
    limit = min(config.corpus.limit or MOST_READ, MOST_READ)
    few = config.corpus.model_copy(update={"limit": limit, "held_aside": 0, "test": None})
    corpus = prepare_corpus(few)
    return corpus.documents, corpus.labels


def _expected(path: str, documents: pa.Table, labels: pa.Table) -> dict[str, dict[int, bool]]:
    """doc_id -> label_id -> whether it is right. Raises ConfigError if nothing of it is known."""
    ids = set(documents["doc_id"].to_pylist())
    places = {}
    for row in labels.select(["label_id", "label_key", "text"]).to_pylist():
        places.setdefault(row["text"], row["label_id"])
        places[row["label_key"]] = row["label_id"]
    found: dict[str, dict[int, bool]] = {}
    problems = []
    for position, row in read_file(path):
        if isinstance(row, BadRow):
            problems.append(f"row {position}: {row.reason}")
            continue
        doc_id = str(row.get("doc_id") or row.get("document") or "")
        name = str(row.get("label_key") or row.get("label_text") or row.get("label") or "")
        answer = str(row.get("answer") or "").strip().lower()
        if doc_id not in ids or name not in places or answer not in {"yes", "no"}:
            what = f"document {doc_id!r}, label {name!r}, answer {answer!r}"
            problems.append(f"row {position}: {what}: not in this run, or not yes or no")
            continue
        found.setdefault(doc_id, {})[places[name]] = answer == "yes"
    for problem in problems[:3]:
        logger.warning("%s: %s", path, problem)
    if not found:
        why = "; ".join(problems[:2]) or "it is empty"
        raise ConfigError(f"{path}: no row fits this run; {why}")
    return found


def _sample(documents: pa.Table, count: int, wanted: set[str]) -> pa.Table:
    """The documents that are wanted, or `count` chosen by a hash of their ids."""
    ids = documents["doc_id"].to_pylist()
    order = sorted(range(len(ids)), key=lambda n: hashlib.sha256(ids[n].encode()).digest())
    rows = [n for n in order if ids[n] in wanted] if wanted else order[:count]
    sample = documents.take(pa.array(sorted(rows)))
    split = pa.array(["train"] * sample.num_rows, pa.string())
    place = sample.schema.get_field_index("split")
    return sample.set_column(place, sample.schema.field("split"), split)


def _ranked(
    config: RunConfig, layout: Layout, sample: pa.Table, labels: pa.Table
) -> dict[str, list[int]]:
    """doc_id -> its shortlist, best first."""
    hybrid, k = layout.states[0].corpus.hybrid, config.judge.top_k
    if hybrid.is_complete():
        table = storage.read_table(hybrid.files()[0])
        table = table.filter(pc.is_in(table["doc_id"], value_set=sample["doc_id"].combine_chunks()))
    else:
        index = LexicalIndex.build(labels["text"].to_pylist())
        rows = sample.select(["title", "text"]).to_pylist()
        texts = [document_text(row["title"], row["text"]) for row in rows]
        table = candidates.to_rankings(sample["doc_id"].to_pylist(), *index.search(texts, k))
    return {row["doc_id"]: row["label_ids"][:k] for row in table.to_pylist()}


def _chosen(
    ranked: dict[str, list[int]], labels: int, given: dict[str, dict[int, bool]]
) -> dict[str, list[int]]:
    """doc_id -> label ids to ask about: candidates spread over the shortlist and a few drawn by
    chance; or those with a known answer."""
    if given:
        return {doc_id: list(given.get(doc_id, ())) for doc_id in ranked}
    chosen = {}
    for doc_id, shortlist in ranked.items():
        places = np.unique(np.linspace(0, max(len(shortlist) - 1, 0), EACH).astype(int))
        near = [shortlist[place] for place in places if place < len(shortlist)]
        seed = int.from_bytes(hashlib.sha256(doc_id.encode()).digest()[:8], "big")
        drawn = np.random.default_rng(seed).integers(0, labels, RANDOM).tolist()
        chosen[doc_id] = list(dict.fromkeys([*near, *drawn]))
    return chosen


def _as_rankings(chosen: dict[str, list[int]]) -> pa.Table:
    scores = [[-float(place) for place in range(len(ids))] for ids in chosen.values()]
    table = {"doc_id": list(chosen), "label_ids": list(chosen.values()), "scores": scores}
    return schemas.conform(pa.table(table), schemas.RANKINGS)


def _label_files(layout: Layout, labels: pa.Table, scratch: str) -> list[str]:
    if layout.labels.is_complete():
        return layout.labels.files()
    path = str(Path(scratch) / "labels.parquet")
    storage.write_table(path, labels)
    return [path]


def _other_prompt(config: RunConfig, wanted: str | None) -> str | None:
    """Another prompt to ask the same with; a judge trained for one prompt has none."""
    own = config.judge.teacher.prompt
    if wanted == "none" or (wanted is None and get_prompt(own).control):
        return None
    return wanted or next(name for name in ("tag", "subject") if name != own and name in PROMPTS)


def _ask(
    config: RunConfig, layout: Layout, prompt: str | None, sample: pa.Table, rankings: pa.Table,
    files: list[str],
) -> tuple[pa.Table, dict[str, Any], float]:  # fmt: skip
    plan = {"train": [("sample", 10**6)]}
    if prompt:
        other = get_prompt(prompt)
        identity = teacher_identity(config.judge.teacher, other)
        layout = replace(layout, prompt=other, judge=identity)
    asking: Asking = asking_of(config, layout, plan, {"train": SOURCE}, 0)
    asking = replace(asking, rankings=("sample",), check=False)
    started = time.monotonic()
    verdicts, usage = ask_sample(asking, files, sample, rankings, config.resources.judge)
    return verdicts, usage, time.monotonic() - started


def _conclude(
    verdicts: pa.Table, ranked: dict[str, list[int]], given: dict[str, dict[int, bool]],
    second: pa.Table | None,
) -> dict[str, Any]:  # fmt: skip
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
    name, why = _verdict(state, result)
    return {"verdict": name, "why": why, **result}


def _p(row: dict[str, Any]) -> float:
    if row["p_yes"] is not None:
        return row["p_yes"]
    return {"yes": 1.0, "no": 0.0}.get(row["answer"], 0.5)


def _auc(rows: list[dict[str, Any]], true: np.ndarray) -> float | None:
    value = area_under_curve(np.array([_p(row) for row in rows]), true.astype(bool))
    return None if np.isnan(value) else round(value, 4)


def _against(
    rows: list[dict[str, Any]], ranked: dict[str, list[int]], given: dict[str, dict[int, bool]]
) -> dict[str, Any]:
    true = np.array([given[row["doc_id"]][row["label_id"]] for row in rows], dtype=bool)
    yes = np.array([row["answer"] == "yes" for row in rows], dtype=bool)
    places = [
        ranked[row["doc_id"]].index(row["label_id"])
        if row["label_id"] in ranked[row["doc_id"]] else 10**6
        for row in rows
    ]  # fmt: skip
    order = area_under_curve(-np.array(places, float), true)
    hits = float((true & yes).sum())
    return {
        "expected": {
            "pairs": len(rows), "precision": round(hits / max(yes.sum(), 1), 4),
            "recall": round(hits / max(true.sum(), 1), 4), "auc": _auc(rows, true),
            "auc_of_shortlist_order": None if np.isnan(order) else round(order, 4),
        }
    }  # fmt: skip


def _agreement(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> float | None:
    """Share of equal answers among pairs that are clear in both."""
    other = {(row["doc_id"], row["label_id"]): row["answer"] for row in second}
    both = [(row["answer"], other.get((row["doc_id"], row["label_id"]))) for row in first]
    clear = [(a, b) for a, b in both if {a, b} <= {"yes", "no"}]
    return round(sum(a == b for a, b in clear) / len(clear), 4) if clear else None


def _verdict(state: health.Health, result: dict[str, Any]) -> tuple[str, str]:
    name, why = health.conclusion(state)
    if name == "useless":
        return name, why
    known = result.get("expected")
    if known and known["auc"] is not None:
        order = known["auc_of_shortlist_order"]
        if known["auc"] < WEAK_AUC:
            return "useless", f"its AUC on the expected answers is {known['auc']:.2f}"
        if order is not None and known["auc"] <= order:
            return "weak", (f"its AUC on the expected answers, {known['auc']:.2f}, is not above "
                            f"that of the shortlist's own order, {order:.2f}")  # fmt: skip
    far = result.get("auc_against_random_labels")
    if far is not None and far < WEAK_AUC:
        return "useless", f"it hardly tells shortlisted labels from random ones (AUC {far:.2f})"
    agreement = result.get("agreement_with_itself")
    if agreement is not None and agreement < 0.7:
        return "weak", f"under another prompt it answers {1 - agreement:.0%} of the pairs otherwise"
    return name, why


def _cost(config: RunConfig, usage: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What 1,000 judgements cost, of those that were asked now."""
    asked = usage["requests"]
    if not asked:
        return {"asked": 0}
    price = config.judge.price
    money = (usage["prompt_tokens"] * price.prompt + usage["answer_tokens"] * price.answer) / 1e6
    each = 1000 / asked
    return {
        "asked": asked, "seconds_with_start": round(seconds, 1),
        "per_1000": {
            "prompt_tokens": round(usage["prompt_tokens"] * each),
            "answer_tokens": round(usage["answer_tokens"] * each),
            "seconds": round(usage["seconds"] * each, 2), "money": round(money * each, 4),
        },
    }  # fmt: skip


def render(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    state = result["health"]
    lines = [f"judge: {result['verdict']}: {result['why']}",
             f"pairs {state['pairs']}, yes {state['yes_rate']:.1%} of the clear ones, "
             f"unclear {state['unclear_rate']:.1%}"]  # fmt: skip
    if state["mass_mean"] is not None:
        lines.append(f"mass of yes and no together: mean {state['mass_mean']:.3f}, "
                     f"5th percentile {state['mass_low']:.3f}")  # fmt: skip
    if state["p_yes_quantiles"]:
        values = ", ".join(f"{q} {p:.3f}" for q, p in state["p_yes_quantiles"].items())
        lines.append(f"P(yes) at {values}")
    names = {"auc_against_random_labels": "AUC of candidates against random labels",
             "auc_of_shortlist_order": "AUC of the shortlist's first half against its second",
             "agreement_with_itself": f"agreement under prompt {result.get('second_prompt')}",
             }  # fmt: skip
    lines += [f"{about}: {result[name]}" for name, about in names.items() if name in result]
    if known := result.get("expected"):
        lines.append(", ".join(f"{name} {value}" for name, value in known.items()))
    if per := result["cost"].get("per_1000"):
        lines.append(f"1,000 judgements: {per['prompt_tokens']:,} prompt tokens, "
                     f"{per['seconds']:.1f} s, {per['money']:g} in money")  # fmt: skip
    return "\n".join(lines)
