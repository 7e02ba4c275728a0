"""How true a judge's own P(yes) is, before and after calibration.

    python -m benchmarks.judge_calibration [--quick] [--instruct | --judge FOLDER --prompt NAME]

Candidates are what words find for the labelled documents of the biomedical sample; gold says which
are right, and is for measuring only. The judge is the stand-in or, with --instruct, SmolLM2-135M.

as said         its P(yes)
prior           log-odds minus those of the label on a document that says nothing
centred prior   the same, but the mean of all labels' priors is left in
self            log-odds over a temperature that needs no gold: the one by which an answer on half
                of a document's sentences best foretells the decision on the other half
gold            the same by gold, fitted on one half of the documents and measured on the other
prior and gold  both

Told are Brier score, expected calibration error (10 bins of equal mass; `floor` is what perfect
probabilities of these values would show by chance), log loss, AUC, and precision, recall and F1 of
P(yes) > 0.5; without gold, `self_ece`: the calibration error against the judge's own decision on
the other half. A reliability plot is written beside the numbers. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pyarrow as pa
import pygal

from benchmarks.calibration import calibration_error, measure
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.evaluation.calibration import log_odds, sigmoid
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.student.pseudo_labels import area_under_curve
from lmtx_ray.teacher.priors import questions_about
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import QUESTIONS, Teacher
from lmtx_ray.teacher.registry import build_teacher
from tests import instruct

RESULTS = Path(__file__).resolve().parent / "results"
SEED, BINS = 13, 10
TEMPERATURES = np.exp(np.linspace(np.log(0.1), np.log(20.0), 200))
SENTENCE = re.compile(r"(?<=[.!?])\s+")
SHOWN = ("brier", "ece", "floor", "log_loss", "auc", "precision", "recall", "f1", "self_ece")
KEPT = ("as said", "prior", "gold")  # in the plot


@dataclass(frozen=True)
class Pairs:
    """What is known of each pair: float64 [N] log-odds of the answer, of the label alone, of both
    halves of the document; bool [N] whether gold has it; int64 [N] its document."""

    odds_N: np.ndarray
    prior_N: np.ndarray
    halves_2N: np.ndarray
    right_N: np.ndarray
    doc_N: np.ndarray


def read(name: str) -> list[dict[str, Any]]:
    with gzip.open(instruct.SAMPLE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sample(documents: int, candidates: int) -> tuple[pa.Table, np.ndarray]:
    """QUESTIONS about labelled documents, and bool [N] of their pairs: whether gold has them."""
    labels = [row["title"] for row in read("labels")]
    rows = read("test")[:documents]
    texts = [f"{row['title']}. {row['content']}" for row in rows]
    ids_BK, _ = LexicalIndex.build(labels).search(texts, candidates)
    found = [[label for label in ids if label >= 0] for ids in ids_BK.tolist()]
    questions = [
        {
            "doc_id": row["uid"],
            "title": row["title"],
            "text": row["content"],
            "label_ids": ids,
            "label_texts": [labels[label] for label in ids],
        }
        for row, ids in zip(rows, found, strict=True)
    ]
    gold = [set(row["target_ind"]) for row in rows]
    right = [label in own for ids, own in zip(found, gold, strict=True) for label in ids]
    return pa.Table.from_pylist(questions, schema=QUESTIONS), np.array(right)


def halved(questions: pa.Table, half: int) -> pa.Table:
    """The same questions about every second sentence, without the title."""
    rows = questions.to_pylist()
    for row in rows:
        sentences = SENTENCE.split(row["text"])
        row |= {"title": None, "text": " ".join(sentences[half::2]) or row["title"] or row["text"]}
    return pa.Table.from_pylist(rows, schema=QUESTIONS)


def said(teacher: Teacher, questions: pa.Table) -> np.ndarray:
    """float64 [N] log-odds; an answer without a P(yes) is even."""
    p_yes = teacher.judge(questions)["p_yes"].to_pylist()
    return log_odds(np.array([0.5 if p is None else p for p in p_yes]))


def ask(teacher: Teacher, questions: pa.Table, right_N: np.ndarray) -> Pairs:
    rows = questions.to_pylist()
    texts = [text for row in rows for text in row["label_texts"]]
    labels = list(dict.fromkeys(texts))
    alone = dict(zip(labels, said(teacher, questions_about(labels)), strict=True))
    return Pairs(
        said(teacher, questions),
        np.array([alone[text] for text in texts]),
        np.stack([said(teacher, halved(questions, half)) for half in (0, 1)]),
        right_N,
        np.repeat(np.arange(len(rows)), [len(row["label_ids"]) for row in rows]),
    )


def temperature_of(odds_N: np.ndarray, true_N: np.ndarray) -> float:
    """The one of least log loss."""
    losses = [
        float(np.mean(np.logaddexp(0.0, odds_N / t) - true_N * odds_N / t)) for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def crossed(odds_N: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, list[float]]:
    """Log-odds over the temperature that the other half of the documents wants by gold."""
    other = np.random.default_rng(SEED).random(pairs.doc_N.max() + 1)[pairs.doc_N] < 0.5
    out_N, temperatures = odds_N.copy(), []
    for inside in (other, ~other):
        temperatures.append(temperature_of(odds_N[~inside], pairs.right_N[~inside]))
        out_N[inside] = odds_N[inside] / temperatures[-1]
    return out_N, [round(t, 3) for t in temperatures]


def own_temperature(pairs: Pairs) -> float:
    first, second = pairs.halves_2N
    return temperature_of(
        np.concatenate([first, second]), np.concatenate([second > 0, first > 0]).astype(float)
    )


def methods_of(pairs: Pairs) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    """Method -> (log-odds, what was fitted)."""
    without_N = pairs.odds_N - pairs.prior_N
    own = own_temperature(pairs)
    gold_N, gold = crossed(pairs.odds_N, pairs)
    both_N, both = crossed(without_N, pairs)
    return {
        "as said": (pairs.odds_N, {}),
        "prior": (without_N, {}),
        "centred prior": (without_N + pairs.prior_N.mean(), {}),
        "self": (pairs.odds_N / own, {"temperature": round(own, 3)}),
        "gold": (gold_N, {"temperature": gold}),
        "prior and gold": (both_N, {"temperature": both}),
    }


def numbers(odds_N: np.ndarray, pairs: Pairs) -> dict[str, float]:
    p_N, right_N = sigmoid(odds_N), pairs.right_N
    yes_N = odds_N > 0
    hits = float((yes_N & right_N).sum())
    precision, recall = hits / max(yes_N.sum(), 1), hits / max(right_N.sum(), 1)
    found = measure(p_N, right_N.astype(float))
    found |= {"auc": area_under_curve(odds_N, right_N), "precision": precision, "recall": recall}
    found["f1"] = 2 * precision * recall / max(precision + recall, 1e-9)
    return {name: round(float(found[name]), 4) for name in SHOWN if name in found}


def of_itself(pairs: Pairs, name: str, fitted: dict[str, Any]) -> float | None:
    """Calibration error against the judge's decision on the other half of a document."""
    moved = {"as said": 0.0, "self": 0.0, "prior": pairs.prior_N}
    if name not in moved:
        return None
    halves_2N = (pairs.halves_2N - moved[name]) / fitted.get("temperature", 1.0)
    stated_N = sigmoid(halves_2N.ravel())
    return round(calibration_error(stated_N, (halves_2N[::-1].ravel() > 0).astype(float)), 4)


def bins_of(odds_N: np.ndarray, right_N: np.ndarray) -> list[tuple[float, float]]:
    """(stated, right) of bins of equal mass."""
    p_N = sigmoid(odds_N)
    parts = np.array_split(np.argsort(p_N, kind="stable"), BINS)
    return [(round(float(p_N[p].mean()), 4), round(float(right_N[p].mean()), 4)) for p in parts]


def plot(curves: dict[str, list[tuple[float, float]]], title: str) -> str:
    chart = pygal.XY(
        js=[], title=title, x_title="stated P(yes)", y_title="share that is right by gold",
        range=(0, 1), xrange=(0, 1), width=640, height=520, dots_size=4, legend_at_bottom=True,
    )  # fmt: skip
    for name, points in curves.items():
        chart.add(name, points)
    chart.add("as stated", [(0, 0), (1, 1)], show_dots=False, stroke_style={"dasharray": "4, 4"})
    return str(chart.render(is_unicode=True))


def add_judges(parser: argparse.ArgumentParser) -> None:
    """The options that say which judge."""
    parser.add_argument("--instruct", action="store_true", help="SmolLM2 instead of the stand-in")
    parser.add_argument("--judge", help="folder of another chat model; then give --output too")
    parser.add_argument("--prompt", default="subject", help="what the other one is asked")


def teacher_of(arguments: argparse.Namespace, work: Path) -> tuple[Teacher, str]:
    """(the judge, what it is called)."""
    if arguments.judge:
        asked = {"prompt": arguments.prompt, "threads": 1, "max_document_tokens": 160}
        config = TeacherConfig(model=arguments.judge, **asked)
        shown = Path(arguments.prompt).name
        return build_teacher(config, get_prompt(arguments.prompt)), f"a chat model, prompt {shown}"
    if arguments.instruct:
        folder, prompt = instruct.save_instruct(work), get_prompt("subject")
        config = TeacherConfig(model=folder, threads=1, max_document_tokens=160, least_mass=0.0)
        return build_teacher(config, prompt), "SmolLM2-135M-Instruct, prompt subject"
    return stand_in(), "stand-in judge"


def stand_in() -> Teacher:
    """The sample's own judge."""
    config = TeacherConfig(
        model=str(instruct.SAMPLE / "judge"), prompt="judge", threads=1, max_document_tokens=160
    )
    return build_teacher(config, get_prompt("judge"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 documents")
    add_judges(parser)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--output", type=Path, help="write there, not to results/")
    arguments = parser.parse_args()
    if arguments.instruct and not instruct.is_installed():
        raise SystemExit(instruct.HOW)
    number = arguments.documents or (40 if arguments.quick else 750)
    questions, right_N = sample(number, arguments.candidates)
    with tempfile.TemporaryDirectory() as work:
        teacher, name = teacher_of(arguments, Path(work))
        pairs = ask(teacher, questions, right_N)
    methods = methods_of(pairs)
    result: dict[str, Any] = {
        "judge": name,
        "documents": number,
        "pairs": len(right_N),
        "labels": len({text for row in questions.to_pylist() for text in row["label_texts"]}),
        "right": round(float(right_N.mean()), 4),
        "prior": {
            "mean_log_odds": round(float(pairs.prior_N.mean()), 3),
            "deviation": round(float(pairs.prior_N.std()), 3),
        },
        "methods": {
            name: {
                **numbers(odds_N, pairs), "self_ece": of_itself(pairs, name, fitted), **fitted,
                "bins": bins_of(odds_N, right_N),
            }
            for name, (odds_N, fitted) in methods.items()
        },
    }  # fmt: skip
    write(result, arguments)


def write(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    print("  ".join(["method".ljust(15), *(name.rjust(9) for name in SHOWN)]))
    for name, row in result["methods"].items():
        cells = ("–" if row[one] is None else f"{row[one]:.4f}" for one in SHOWN)
        print("  ".join([name.ljust(15), *(cell.rjust(9) for cell in cells)]))
    today = datetime.date.today().isoformat()
    ending = "-instruct" if arguments.instruct else ""
    path = arguments.output or RESULTS / f"judge_calibration-{today}{ending}.json"
    path.write_text(json.dumps({"date": today, **result}, indent=1, ensure_ascii=False) + "\n")
    curves = {name: result["methods"][name]["bins"] for name in KEPT}
    path.with_suffix(".svg").write_text(plot(curves, result["judge"]))
    first, prior = (result["methods"][name] for name in ("as said", "prior"))
    print(
        json.dumps({"as_said": {k: first[k] for k in SHOWN}, "prior": {k: prior[k] for k in SHOWN}})
    )


if __name__ == "__main__":
    main()
