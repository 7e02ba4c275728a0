"""A finished run without Ray: small tables, published under the names of a run's steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.run_config import RunConfig

LABELS, DEPTH, UNIT = 30, 10, 32
NASTY = "<script>alert('x')</script> & \"quoted\""
KS = {"P": (1, 3, 5), "R": (10, 100), "nDCG": (5,)}
Truth = dict[str, set[int]]


class MadeRun:
    """Publishes one step after the other; `config` is what the run was started with."""

    def __init__(
        self, folder: Path, gold: bool = True, cycles: int = 1, documents: int = 60
    ) -> None:
        self.folder, self.cycles = folder, cycles
        self.random = np.random.default_rng(7)
        self.steps: dict[str, str] = {}
        self.config = _config(folder, gold)
        self._publish_corpus(documents)
        self.truth = self._truth(documents + 40)
        for number in range(cycles + 1):
            self._publish_rankings("", self.learned, number)
        for number in range(1, cycles + 1):
            self._publish_verdicts(f"verdicts {number}", self.learned, number)
            self._publish_verdicts(f"selection {number}", self.learned[-20:], number)
        methods = self._publish_test(documents) if gold else {}
        self._publish_bundle()
        self._publish_end(methods)

    def publish(self, name: str, table: pa.Table, schema: pa.Schema | None = None) -> None:
        """In units of UNIT rows; those of documents and what is made of them share their names."""
        table = schemas.conform(table, schema) if schema else table
        self._dataset(name).publish_table(table, rows=UNIT)

    def _dataset(self, name: str) -> Dataset:
        folder = f"{name.replace(' ', '-')}-{'0123456789ab'}"
        self.steps[name] = folder
        return Dataset(storage.join(str(self.folder), folder), "0123456789ab")

    def _publish_corpus(self, documents: int) -> None:
        names = [NASTY if n == 3 else f"label {n}" for n in range(LABELS)]
        keys = [f"L{n}" for n in range(LABELS)]
        table = pa.table({"label_id": range(LABELS), "label_key": keys, "text": names})
        self.publish("labels", table, schemas.LABELS)
        self.learned = [f"d{n}" for n in range(documents)]
        splits = ["train"] * (documents - 20) + ["held_aside"] * 20
        self.publish("documents", _documents(self.learned, splits), schemas.DOCUMENTS)
        rejects = {"source": [NASTY] * 2, "position": [3, 9], "reason": ["no text", "no id"]}
        self.publish("rejects", pa.table({**rejects, "raw": [NASTY, None]}), schemas.REJECTS)

    def _truth(self, count: int) -> Truth:
        """Two right labels of each document; small numbers are frequent."""
        drawn = self.random.zipf(1.5, (count, 2)) % LABELS
        return {f"d{n}": set(map(int, own)) for n, own in enumerate(drawn)}

    def _rankings(self, doc_ids: list[str], skill: float) -> pa.Table:
        """Right labels come the nearer to the top the larger `skill` is."""
        lists, scores = [], []
        for doc_id in doc_ids:
            own = self.random.random(LABELS)
            own[list(self.truth[doc_id])] += skill
            order = np.argsort(-own)[:DEPTH]
            lists.append(order.tolist())
            scores.append(own[order].tolist())
        table = pa.table({"doc_id": doc_ids, "label_ids": lists, "scores": scores})
        return schemas.conform(table, schemas.RANKINGS)

    def _publish_rankings(self, side: str, doc_ids: list[str], number: int) -> dict[str, pa.Table]:
        made = {
            kind: self._rankings(doc_ids, skill + 0.4 * number)
            for kind, skill in (("dense", 0.2), ("hybrid", 0.4))
        }
        for kind, table in made.items():
            self.publish(f"{side}{kind} {number}", table)
        return made

    def _publish_verdicts(self, name: str, doc_ids: list[str], cycle: int) -> None:
        dataset, units = self._dataset(name), []
        for start in range(0, len(doc_ids), UNIT):
            units.append(f"{start // UNIT:05d}-{UNIT}")
            rows = [row for d in doc_ids[start : start + UNIT] for row in self._said(d, cycle)]
            table = pa.Table.from_pylist(rows, schemas.VERDICTS)
            dataset.commit_table(units[-1], table, rows_in=len(rows))
        dataset.publish(units)

    def _said(self, doc_id: str, cycle: int) -> list[dict[str, Any]]:
        """A judge that errs in one pair of twenty, and never knows about the last label."""
        rows = []
        for label in range(LABELS):
            yes = (label in self.truth[doc_id]) != (self.random.random() < 0.05)
            answer = "unclear" if label == LABELS - 1 else "yes" if yes else "no"
            p_yes = None if answer == "unclear" else 0.9 if yes else 0.1
            about = {"mass": 0.95, "prompt": "p", "teacher": "t", "cycle": cycle}
            pair = {"doc_id": doc_id, "label_id": label, "rank": label, "asked": label % 2 == 0}
            rows.append({**pair, **about, "answer": answer, "p_yes": p_yes})
        return rows

    def _publish_test(self, documents: int) -> dict[str, Any]:
        doc_ids = [f"d{n}" for n in range(documents, documents + 40)]
        table = _documents(doc_ids, ["test"] * len(doc_ids))
        self.publish("test documents", table, schemas.DOCUMENTS)
        gold = pa.table({"doc_id": doc_ids, "label_ids": [sorted(self.truth[d]) for d in doc_ids]})
        gold = schemas.conform(gold, schemas.GOLD)
        self.publish("test gold", gold)
        if self.cycles:
            self._publish_verdicts("test verdicts", doc_ids, 1)
        rankings = {"bm25": self._rankings(doc_ids, 0.1)}
        for number in range(self.cycles + 1):
            made = self._publish_rankings("test ", doc_ids, number)
            rankings["encoder" if number == 0 else f"cycle_{number}"] = made["dense"]
            rankings["hybrid" if number == 0 else f"cycle_{number}_hybrid"] = made["hybrid"]
        rows = {name: evaluation.evaluate(table, gold, KS) for name, table in rankings.items()}
        return {name: evaluation.summarise(table) for name, table in rows.items()}

    def _publish_bundle(self) -> None:
        fitted = Calibration(("score",), (6.0,), (0.0,), (1.0,), -6.0)
        content = {"calibration": fitted.to_dict(), "depth": 10, "fusion": None}
        dataset = self._dataset("bundle")
        dataset.publish_folder(
            lambda local: (local / "bundle.json").write_text(json.dumps(content))
        )

    def _publish_end(self, methods: dict[str, Any]) -> None:
        opinion = {"mean": 0.6, "low": 0.4, "high": 0.8, "documents": 20, "k": 3, "at_k": 0.5}
        opinions = {"dense": {**opinion, "mean": 0.5}, "hybrid": opinion}
        states = range(self.cycles + 1) if self.cycles else ()
        summary = {
            "final": f"cycle_{self.cycles}_hybrid" if self.cycles else "hybrid",
            **({"methods": methods} if methods else {}),
            "judge": {
                "asked": 900,
                "saved": 100,
                "unclear": 60,
                "frequent": [{"label_key": "L3", "label": NASTY, "documents": 40, "share": 0.4}],
                "agreement": [{"members": ["a", "b"], "pairs": 900, "equal": 0.9, "kappa": 0.55}],
            },
            "selection": {str(number): opinions for number in states},
            "seconds": {"prepare": 1.0, "judge 1": 20.0},
        }
        self.publish("evaluation", pa.table({"summary": [json.dumps(summary)]}))
        record = {
            "config": self.config.model_dump(mode="json"),
            "packages": {"lmtx_ray": "1", "vllm": None},
            "ended": "2026-01-02T03:04:05+00:00",
            "steps": self.steps,
        }
        storage.write_bytes(f"{self.folder}/ended/0123456789ab.json", storage.to_json(record))

    def spend(self, **spent: float) -> None:
        """One more process that judged."""
        name = f"{self.folder}/costs/{len(list(self.folder.glob('costs/*')))}.json"
        storage.write_bytes(name, storage.to_json({"judge 1": spent}))


def _config(folder: Path, gold: bool) -> RunConfig:
    corpus = {"documents": ["d.csv"], "labels": "l.csv", "test": "t.csv" if gold else None}
    judge = {"teacher": {"kind": "lexical"}, "price": {"prompt": 2.0, "answer": 10.0}}
    return RunConfig.model_validate({"run": str(folder), "corpus": corpus, "judge": judge})


def _documents(doc_ids: list[str], splits: list[str]) -> pa.Table:
    """Every text comes after a page of blanks."""
    titles = [f"{NASTY} {doc_id}" for doc_id in doc_ids]
    texts = [" " * 500 + title for title in titles]
    return pa.table({"doc_id": doc_ids, "title": titles, "text": texts, "split": splits})
