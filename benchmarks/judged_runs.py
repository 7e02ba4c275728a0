"""What a finished run published that its probabilities can be measured on, read back by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation.calibration import sigmoid
from lmtx_ray.evaluation.kindness import wrong_of
from lmtx_ray.evaluation.pair_features import Known
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.calibrating import Sides

SEED, DEPTH = 13, 100
HELD = 250  # test documents that are held aside for a made judge
SAYS_YES = {True: 0.8, False: 0.3}  # a made judge, of right and of wrong labels
Verdicts = dict[tuple[str, int], tuple[str, float | None]]


@dataclass(frozen=True)
class Lists:
    """What `Sides` are of a run, of lists in memory."""

    lists: dict[str, Known]
    weighed: bool = True

    def known(self, doc_ids: pa.Array) -> Iterator[tuple[str, Known]]:
        return ((doc_id, self.lists[doc_id]) for doc_id in doc_ids.to_pylist())


@dataclass(frozen=True)
class Given:
    """What a run published: rankings and verdicts of held-aside and of test documents, and gold.
    `wrong` is what the judge says of labels drawn by chance, and `today` the calibration error of
    first tags and of the first five that another is held against (None: that of one score)."""

    name: str
    ranking: str
    names: tuple[str, ...]  # of the features
    held: Sides | Lists
    test: Sides | Lists
    held_ids: list[str]
    test_ids: list[str]
    verdicts: Verdicts
    gold: dict[str, set[int]]
    wrong: float | None = None
    today: tuple[float, float] | None = None


def step(run: Path, name: str) -> Any:
    """The one published step of a name, which is read as a dataset is."""
    found = [
        folder
        for folder in sorted(run.glob(f"{name}-*"))
        if "-" not in folder.name.removeprefix(f"{name}-") and (folder / "MANIFEST.json").exists()
    ]
    if len(found) != 1:
        raise SystemExit(f"{run}: {len(found)} steps {name}, one is needed")
    return PublishedFolder(str(found[0]))


def shipped(run: Path) -> tuple[str, int]:
    """(what a run ships, how many cycles it did); of one that only judged so far, what it began
    with."""
    if not list(run.glob("evaluation-*/MANIFEST.json")):
        return "hybrid", 0
    summary = json.loads(step(run, "evaluation").read()["summary"][0].as_py())
    return summary["final"], len(summary["selection"]) - 1


def read_run(run: Path) -> Given:
    """A run's rankings, gold, and what verdicts there are."""
    final, cycles = shipped(run)
    state = int(final.split("_")[1]) if final.startswith("cycle") else 0
    fused, weighed = final.endswith("hybrid"), final.endswith("learned")

    def sides(kind: str) -> Sides:
        dense, lexical = step(run, f"{kind}dense-{state}"), step(run, f"{kind}lexical")
        name = "hybrid" if fused else "learned" if weighed else "dense"
        ranked = step(run, f"{kind}{name}-{state}")
        return Sides(ranked, dense, lexical if fused or weighed else None, DEPTH, weighed=weighed)

    documents = step(run, "documents").read(["doc_id", "split"]).to_pylist()
    gold = step(run, "test-gold").read().to_pylist()
    steps = ["test-verdicts", "verdicts-1"]
    for cycle in range(1, cycles + 1):
        steps += [f"verdicts-{cycle}", f"selection-{cycle}", f"learned-selection-{cycle}"]
    verdicts: Verdicts = {}
    for name in [name for name in steps if list(run.glob(f"{name}-*/MANIFEST.json"))]:
        for row in step(run, name).read(["doc_id", "label_id", "answer", "p_yes"]).to_pylist():
            verdicts.setdefault((row["doc_id"], row["label_id"]), (row["answer"], row["p_yes"]))
    return Given(
        run.name,
        final,
        sides("").features,
        sides(""),
        sides("test-"),
        [row["doc_id"] for row in documents if row["split"] == "held_aside"],
        [row["doc_id"] for row in gold if row["label_ids"]],
        verdicts,
        {row["doc_id"]: set(row["label_ids"]) for row in gold},
        _wrong(run),
    )


def _wrong(run: Path) -> float | None:
    """Of a run that asked about labels drawn by chance."""
    if not list(run.glob("chance-verdicts-*/MANIFEST.json")):
        return None
    return wrong_of(step(run, "chance-verdicts").read(["p_yes"])["p_yes"].to_numpy())


def simulated(given: Given) -> Given:
    """The same run with held-aside documents taken from the test, and a judge made of gold."""
    generator = np.random.default_rng(SEED)
    held_ids = given.test_ids[:HELD]
    verdicts: Verdicts = {}
    for doc_id, known in given.test.known(pa.array(given.test_ids)):
        tops = [*known.ranked[0][:5].tolist(), *known.dense[0][:3].tolist()]
        for label in dict.fromkeys(tops):
            says_yes = generator.random() < SAYS_YES[label in given.gold[doc_id]]
            sure = generator.uniform(0.5, 3.0)
            p_yes = float(sigmoid(np.array(sure if says_yes else -sure)))
            verdicts[doc_id, label] = ("yes" if says_yes else "no", p_yes)
    return Given(
        f"{given.name}, simulated judge",
        given.ranking,
        given.names,
        given.test,
        given.test,
        held_ids,
        given.test_ids[HELD:],
        verdicts,
        given.gold,
    )
