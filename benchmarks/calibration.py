"""How true probabilities are: those made of one score, as before, against those of all we know.

    python -m benchmarks.calibration RUN [RUN ...] [--simulated RUN] [--learned RUN [--ask]]
        [--set NAME --data FOLDER --work FOLDER] [--quick]

Each RUN is the folder of a finished run (or of one that has judged its first candidates, whose
untrained hybrid is then measured) with test documents and judged test candidates
(`judge.rerank_k`). Rankings and verdicts are read from it, no model is asked, so it takes seconds.
Probabilities are fitted on the verdicts on held-aside documents and measured on gold, those of
first tags and of the first five: the expected calibration error (10 bins of equal mass), Brier
score, log loss, distinct values, and the share of tags that reach a threshold. `floor` is the
calibration error that perfect probabilities of these very values would show by chance.

For reviews, a fifth of the test documents plays further held-aside documents: their gold answers
for a person, on first tags and, as many, on the next four, drawn at random. All methods are
measured on the other documents. Documents and pairs are drawn ten times; means are given.

With --simulated the judge of a run is replaced by one made of gold: it says yes to 80 % of the
right labels and to 30 % of the wrong ones, and is as sure of itself either way.

--learned is of a run that ships learned fusion, and --set of a data set, where it is made without
training and with a simulated judge (`benchmarks.calibration_sets`; several are drawn, means are
given). `log-odds` are those that order the tags, taken as they are; `at its word` is fitted on the
pairs that the judge had no hand in, and in `now` the judge's kindness is taken out as well. With
--ask a run from before labels were drawn by chance asks the stand-in judge about some now. There
`before` is one score of the ranking itself, and what is wanted is half of the error that one score
of rank fusion had.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.judged_runs import Given, Lists, read_run, simulated
from lmtx_ray.evaluation.calibration import Calibration, log_odds, sigmoid
from lmtx_ray.loop.calibrating import WEIGHED, Held, Said, Sides, calibrate, held_pairs

RESULTS = Path(__file__).resolve().parent / "results"
BINS, SEED, DRAWS = 10, 13, 10
REVIEWS = (10, 100, 200)
FIRST = (1, 5)
THRESHOLDS = (0.5, 0.7, 0.9)
ASKED_SHARE, ASKED_DISTINCT = 0.5, 30
TODAY = {"demo": (0.173, 0.147), "debtags": (0.143, 0.206)}  # of one score of rank fusion
Probability = Callable[[np.ndarray], np.ndarray]  # features of NAMES -> probabilities


def platt(scores_N: np.ndarray, targets_N: np.ndarray) -> Calibration:
    """As it was before: logistic regression on the ranking's score alone."""
    centre, scale = float(scores_N.mean()), float(scores_N.std()) or 1.0
    design = np.stack([(scores_N - centre) / scale, np.ones(len(scores_N))], axis=1)
    weights, ridge = np.zeros(2), np.diag([1e-3, 1e-6])
    for _ in range(50):
        p_N = sigmoid(design @ weights)
        gradient = design.T @ (p_N - targets_N) + ridge @ weights
        bend = (design.T * (p_N * (1 - p_N) + 1e-9)) @ design + ridge
        weights -= np.clip(np.linalg.solve(bend, gradient), -5.0, 5.0)
    slope, intercept = weights.tolist()
    return Calibration(("score",), (slope,), (centre,), (scale,), intercept)


def calibration_error(p_N: np.ndarray, right_N: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of stated and true share over bins of equal mass."""
    parts = np.array_split(np.argsort(p_N, kind="stable"), bins)
    gaps = [len(part) * abs(p_N[part].mean() - right_N[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / len(p_N))


def measure(p_N: np.ndarray, right_N: np.ndarray) -> dict[str, float]:
    generator = np.random.default_rng(SEED)
    chance = [calibration_error(p_N, generator.random(len(p_N)) < p_N) for _ in range(20)]
    odds_N = log_odds(p_N)
    losses_N = np.logaddexp(0.0, odds_N) - right_N * odds_N
    return {
        "ece": calibration_error(p_N, right_N),
        "floor": float(np.mean(chance)),
        "brier": float(((p_N - right_N) ** 2).mean()),
        "log_loss": float(losses_N.mean()),
        "stated": float(p_N.mean()),
        "true": float(right_N.mean()),
        "distinct": len(np.unique(p_N.astype(np.float32))),
        **{f"from_{t}": float((p_N >= t).mean()) for t in THRESHOLDS},
    }


class Candidates:
    """All numbers of the candidates of some documents, by document."""

    def __init__(self, given: Given, sides: Sides | Lists, doc_ids: Sequence[str]) -> None:
        names = tuple(dict.fromkeys(("score", *given.names)))
        self.names, self.given = names, given
        self.ids, self.held = [], {}
        for doc_id, known in sides.known(pa.array(doc_ids)):
            self.ids.append(doc_id)
            said, one = Said(given.verdicts, {}), iter([(doc_id, known)])
            own = held_pairs(one, names, said, {doc_id: b""}, lambda label: b"")
            self.held[doc_id] = known.ranked[0], own

    def first(self, doc_ids: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Features of the first k candidates of each document, and which of them are right."""
        features, right = [], []
        for doc_id in doc_ids:
            labels_K, own = self.held[doc_id]
            features.append(own.features_NF[:k])
            right += [label in self.given.gold[doc_id] for label in labels_K[:k].tolist()]
        return np.concatenate(features), np.array(right, float)

    def pairs(self, doc_ids: Sequence[str], reviewed: set[tuple[str, int]]) -> Held:
        """Of all candidates, those at `reviewed` places answered by gold."""
        parts = []
        for doc_id in doc_ids:
            labels_K, own = self.held[doc_id]
            answers_K = np.full(len(labels_K), np.nan)
            for place in range(min(max(FIRST), len(labels_K))):
                if (doc_id, place) in reviewed:
                    answers_K[place] = labels_K[place] in self.given.gold[doc_id]
            parts.append(tuple({**vars(own), "reviewed_N": answers_K}.values()))
        return Held(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def only(self, held: Held, names: Sequence[str]) -> Held:
        columns = [self.names.index(name) for name in names]
        return Held(**{**vars(held), "features_NF": held.features_NF[:, columns]})


def joined(first: Held, second: Held) -> Held:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Held(*(np.concatenate(pair) for pair in pairs))


def reviewed(
    doc_ids: Sequence[str], number: int, generator: np.random.Generator
) -> set[tuple[str, int]]:
    """So many (document, place) of the first five tags, half of them first ones if there are."""
    firsts, others = min(number // 2, len(doc_ids)), max(FIRST) - 1
    rest = generator.choice(
        others * len(doc_ids), min(number - firsts, others * len(doc_ids)), False
    )
    chosen = {(doc_ids[n], 0) for n in generator.choice(len(doc_ids), firsts, False)}
    return chosen | {(doc_ids[n // others], n % others + 1) for n in rest}


def measured(given: Given, draws: int) -> dict[str, Any]:
    """Each method's numbers on first tags and on the first five, means over draws."""
    held = Candidates(given, given.held, given.held_ids)
    test = Candidates(given, given.test, given.test_ids)
    judged, names = held.pairs(held.ids, set()), given.names

    def new(pairs: Held, wrong: float | None = given.wrong) -> Probability:
        calibration = calibrate(held.only(pairs, names), names, wrong).calibration
        columns = [test.names.index(name) for name in names]
        return lambda features_NF: calibration.apply(features_NF[:, columns])

    said_N = ~np.isnan(judged.judged_N)
    old = platt(judged.features_NF[said_N, 0], judged.judged_N[said_N])
    before: Probability = lambda features_NF: old.apply(features_NF[:, :1])  # noqa: E731
    fixed = {"before": before, "now": new(judged)}
    if names == WEIGHED:
        as_they_are: Probability = lambda features_NF: sigmoid(features_NF[:, 0])  # noqa: E731
        fixed |= {"log-odds": as_they_are, "at its word": new(judged, None)}
    rows: dict[str, dict[str, list[dict[str, float]]]] = {}
    for draw in range(draws):
        generator = np.random.default_rng(SEED + draw)
        mixed = [test.ids[n] for n in generator.permutation(len(test.ids))]
        reviewing, rest = mixed[: len(mixed) // 5], mixed[len(mixed) // 5 :]
        methods = dict(fixed)
        for number in REVIEWS:
            answered = test.pairs(reviewing, reviewed(reviewing, number, generator))
            methods[f"now, {number} reviewed"] = new(joined(judged, answered))
        for name, made in methods.items():
            for k in FIRST:
                features_NF, right_N = test.first(rest, k)
                numbers = measure(made(features_NF).astype(np.float64), right_N)
                rows.setdefault(name, {}).setdefault(f"first {k}", []).append(numbers)
    return {
        "ranking": given.ranking,
        "today": list(given.today or ()),
        "judged_pairs": int(said_N.sum()),
        "wrong": "not asked" if given.wrong is None else given.wrong,
        "measured_documents": len(rest),
        "methods": {
            name: {first: averaged(own) for first, own in by_first.items()}
            for name, by_first in rows.items()
        },
    }


def averaged(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def asked(
    name: str, methods: dict[str, Any], today: Sequence[float] | None = None
) -> list[dict[str, Any]]:
    """What was wanted of each way to make probabilities, and whether it holds."""
    lines = []
    firsts = [f"first {k}" for k in FIRST]
    before = [methods["before"][first]["ece"] for first in firsts]
    base = dict(zip(firsts, today or before, strict=True))
    for method in [method for method in methods if method.startswith("now")]:
        for first in firsts:
            share = methods[method][first]["ece"] / base[first]
            what = f"{name}: {method}, {first}: calibration error over that of one score"
            own = {"what": what, "value": round(share, 3), "wanted": f"<= {ASKED_SHARE}"}
            lines.append({**own, "met": share <= ASKED_SHARE})
        distinct = methods[method]["first 1"]["distinct"]
        lines.append(
            {
                "what": f"{name}: {method}: distinct probabilities of first tags",
                "value": distinct,
                "wanted": f">= {ASKED_DISTINCT}",
                "met": distinct >= ASKED_DISTINCT,
            }
        )
    return lines


def mean_of(results: Sequence[Any]) -> Any:
    """The means of several judges' results, number by number."""
    first = results[0]
    if len(results) == 1:
        return first
    if isinstance(first, dict):
        return {key: mean_of([one[key] for one in results]) for key in first}
    return first if isinstance(first, str | list) else round(float(np.mean(results)), 4)


def table(name: str, result: dict[str, Any]) -> str:
    lines = [f"{name} ({result['ranking']}, {result['judged_pairs']} judged pairs)"]
    for k in FIRST:
        lines.append(
            f"  first {k:<15} ECE  floor  Brier  log loss  stated   true  distinct  from 0.7"
        )
        for method, numbers in result["methods"].items():
            n = numbers[f"first {k}"]
            lines.append(
                f"    {method:<17} {n['ece']:.3f}  {n['floor']:.3f}  {n['brier']:.3f}  "
                f"{n['log_loss']:8.3f}  {n['stated']:6.3f}  {n['true']:5.3f}  "
                f"{n['distinct']:8.0f}  {n['from_0.7']:8.3f}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--simulated", action="append", default=[], type=Path, metavar="RUN")
    parser.add_argument("--learned", action="append", default=[], type=Path, metavar="RUN")
    parser.add_argument("--ask", action="store_true", help="the stand-in, about labels by chance")
    parser.add_argument("--set", action="append", default=[], metavar="NAME")
    parser.add_argument("--data", type=Path, help="where the sets lie")
    parser.add_argument("--work", type=Path, help="for vectors that are kept")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--output", type=Path, help="write there, not to results/")
    parser.add_argument("--quick", action="store_true", help="two draws of reviewed, not ten")
    arguments = parser.parse_args()
    given = [read_run(run) for run in arguments.runs]
    given += [simulated(read_run(run)) for run in arguments.simulated]
    for run in arguments.learned:
        own = read_run(run)
        if own.names != WEIGHED:
            parser.error(f"{run}: ships {own.ranking}, not learned fusion")
        if arguments.ask and own.wrong is None:
            from benchmarks.calibration_sets import asked_by_chance  # needs torch

            own = asked_by_chance(run, own)
        given.append(replace(own, name=f"{own.name}, learned", today=TODAY["demo"]))
    if arguments.set:
        from benchmarks.calibration_sets import of_sets  # needs torch

        given += [replace(one, today=TODAY.get(name)) for name, one in of_sets(arguments)]
    if not given:
        parser.error("name at least one run")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for one in given:
        by_name.setdefault(one.name, []).append(measured(one, 2 if arguments.quick else DRAWS))
    results = {name: mean_of(several) for name, several in by_name.items()}
    wanted = []
    for name, result in results.items():
        print(table(name, result))
        wanted += asked(name, result["methods"], result["today"])
    result = {"quick": arguments.quick, "results": results, "asked": wanted}
    if not arguments.quick:
        named = RESULTS / f"calibration-{datetime.date.today().isoformat()}.json"
        (arguments.output or named).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
