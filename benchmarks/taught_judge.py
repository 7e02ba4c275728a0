"""What a judge taught by `examples/taught_judge` is worth, beside others on the same pairs.

    python -m benchmarks.taught_judge --data DATA --judge FOLDER [--base FOLDER] [--quick]

Pairs are documents of `test.jsonl.gz` of each set with the first labels of their shortlists, as the
untouched encoder and words find them; gold says which are right, and is for measuring only. `order`
is the shortlist's own, `stand-in` the sample's judge, `untouched` the chat model before it was
taught (--base), asked in the words of the product and in those that it was taught. The judges
answer through the product's packed engine. Told are the area under the ROC curve over all pairs,
precision and recall of yes, the share of unclear answers, P@1 of each document's labels in the
judge's order, and judgements a second. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.append(str(Path(__file__).resolve().parent.parent / "examples" / "taught_judge"))

import numpy as np
import pyarrow as pa
from fields import DOCUMENT_TOKENS, QUESTION, Field, load_field

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.student.pseudo_labels import area_under_curve
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import QUESTIONS
from lmtx_ray.teacher.registry import build_teacher
from tests.instruct import SAMPLE

RESULTS = Path(__file__).resolve().parent / "results"
UNSEEN, SEEN = "debtags", ("mesh-reviews", "tib-gnd-core")
SHORTLIST = 16
LEAST_AUC, OVER_ORDER = 0.80, 0.05
Numbers = dict[str, float]


def questions_of(field: Field) -> tuple[pa.Table, list[np.ndarray]]:
    """QUESTIONS about every document's shortlist, and of each label whether it is right."""
    rows, right = [], []
    for place, row in enumerate(field.rows):
        labels = field.shortlist(place, SHORTLIST)
        rows.append(
            {
                "doc_id": str(row["uid"]),
                "title": row["title"],
                "text": row["content"] or "",
                "label_ids": labels,
                "label_texts": [field.labels[label] for label in labels],
            }
        )
        right.append(np.isin(labels, list(field.gold[place])))
    return pa.Table.from_pylist(rows, schema=QUESTIONS), right


def numbers(scores_P: np.ndarray, right: list[np.ndarray]) -> Numbers:
    """Of scores of all pairs, document after document; nan where there is none."""
    right_P = np.concatenate(right)
    given_P = np.where(np.isnan(scores_P), np.nanmin(scores_P), scores_P)
    own = np.split(given_P, np.cumsum([len(one) for one in right])[:-1])
    firsts = [one[scores.argmax()] for scores, one in zip(own, right, strict=True) if len(one)]
    return {"auc": area_under_curve(given_P, right_P), "p_at_1": float(np.mean(firsts))}


def asked_of(model: str, prompt: str, questions: pa.Table, right: list[np.ndarray]) -> Numbers:
    """What a model says."""
    config = TeacherConfig(
        model=model, prompt=prompt, engine="packed", max_document_tokens=DOCUMENT_TOKENS
    )
    judge = build_teacher(config, get_prompt(prompt))
    started = time.monotonic()
    answers = judge.judge(questions)
    seconds = time.monotonic() - started
    right_P, said = np.concatenate(right), np.array(answers["answer"].to_pylist())
    scores_P = np.array([p if p is not None else np.nan for p in answers["p_yes"].to_pylist()])
    yes_P = said == "yes"
    return {
        **numbers(scores_P, right),
        "precision": float(right_P[yes_P].mean()) if yes_P.any() else 0.0,
        "recall": float(yes_P[right_P].mean()),
        "unclear": float((said == "unclear").mean()),
        "per_second": len(said) / seconds,
    }


def compare(field: Field, arguments: argparse.Namespace) -> dict[str, Any]:
    """All judges on one set's pairs."""
    questions, right = questions_of(field)
    order_P = np.concatenate([-np.arange(len(one), dtype=float) for one in right])
    found: dict[str, Numbers] = {"order": numbers(order_P, right)}
    judges = {"stand-in": (str(SAMPLE / "judge"), "judge")}
    if arguments.base:
        judges["untouched, subject"] = arguments.base, "subject"
        judges["untouched, as taught"] = arguments.base, QUESTION
    judges["taught"] = arguments.judge, QUESTION
    for name, (model, prompt) in judges.items():
        found[name] = asked_of(model, prompt, questions, right)
        shown = "  ".join(f"{key} {value:.3f}" for key, value in found[name].items())
        print(f"{field.name}  {name}: {shown}", file=sys.stderr, flush=True)
    rounded = {
        name: {key: round(value, 4) for key, value in own.items()} for name, own in found.items()
    }
    return {
        "documents": len(field.rows),
        "pairs": sum(map(len, right)),
        "right": round(float(np.concatenate(right).mean()), 4),
        "judges": rounded,
    }


def asked(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked of the unseen set, once it was measured."""
    if UNSEEN not in results:
        return []
    judges = results[UNSEEN]["judges"]
    auc, over = judges["taught"]["auc"], judges["taught"]["auc"] - judges["order"]["auc"]
    rows = (
        (f"{UNSEEN}: AUC of the taught judge", round(auc, 4), LEAST_AUC),
        (f"{UNSEEN}: over the shortlist's order", round(over, 4), OVER_ORDER),
    )
    return [
        {"what": what, "value": value, "wanted": f">= {least}", "met": value >= least}
        for what, value, least in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets' folders")
    parser.add_argument("--judge", required=True, help="folder of the taught model")
    parser.add_argument("--base", help="folder of the model before it was taught")
    parser.add_argument("--documents", type=int, default=400, help="of each set")
    parser.add_argument("--sets", nargs="+", default=(UNSEEN, *SEEN))
    parser.add_argument("--add", action="store_true", help="go on with what the file holds")
    parser.add_argument("--quick", action="store_true", help="40 documents of the unseen set")
    parser.add_argument("--work", type=Path, help="folder of candidates that were found")
    parser.add_argument("--output", type=Path, help="write there, not to results/")
    arguments = parser.parse_args()
    names = (UNSEEN,) if arguments.quick else arguments.sets
    count = 40 if arguments.quick else arguments.documents
    today = datetime.date.today().isoformat()
    path = arguments.output or RESULTS / f"taught_judge-{today}.json"
    result: dict[str, Any] = {"date": today, "shortlist": SHORTLIST, "sets": {}}
    if arguments.add and path.exists():
        result = json.loads(path.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        cache = arguments.work or Path(scratch)
        for name in names:
            field = load_field(arguments.data / name, "test", count, 0, cache)
            result["sets"][name] = compare(field, arguments)
            result["asked"] = asked(result["sets"])
            path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"asked": result["asked"]}))


if __name__ == "__main__":
    main()
