"""One job of `benchmarks.quality`, run in a process of its own: what methods share, or a method on
one seed's documents. Here gold meets rankings, after these are made.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_judge import Judge, SimulatedJudge
from benchmarks.quality_methods import METHODS, Row, Settings, search
from benchmarks.quality_sets import Gold, Sizes, Texts, frequency_of, gold_of, texts_of
from benchmarks.quality_states import DEPTH, Bench, vectors_of
from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.evaluation import metrics
from lmtx_ray.evaluation.evaluation import MEASURES
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.student.encoder import Encoder

COLUMNS = (("P", 1), ("P", 3), ("P", 5), ("R", 10), ("R", 100), ("nDCG", 5))
PSP = 5
PREPARE = "prepare"


@dataclass(frozen=True)
class Options:
    """What all jobs are given. `fits` are settings of `fit` for each recipe; `judge_model` and
    `writer` are folders of models, empty for none."""

    data: str
    work: str
    encoder: EncoderConfig
    sizes: Sizes
    fits: Mapping[str, Mapping[str, Any]]
    cycles: int
    top_k: int
    true_yes: float
    false_yes: float
    judge_model: str = ""
    judge_prompt: str = ""
    writer: str = ""

    def folder(self, name: str) -> Path:
        """Where a set lies."""
        return Path(self.data) / name

    def settings(self, seed: int) -> Settings:
        """Of a seed: its trainings draw otherwise, too."""
        fits: dict[str, Any] = {
            recipe: FitConfig.model_validate({**given, "seed": seed})
            for recipe, given in self.fits.items()
        }
        return Settings(**fits, cycles=self.cycles, top_k=self.top_k)


@dataclass(frozen=True)
class Job:
    """`method` is one of METHODS, or PREPARE; that with seed 0 is for labels and test documents."""

    set: str
    seed: int
    method: str


@dataclass(frozen=True)
class Measured:
    """A row's values for each test document, float64 [B]; PSP's as what is divided, too."""

    name: str
    values: dict[str, np.ndarray]
    psp_above_B: np.ndarray
    psp_below_B: np.ndarray
    calls: int
    calls_each: float
    seconds: float


def run(options: Options, job: Job) -> tuple[Job, list[Measured], float]:
    """The job, its rows and its seconds."""
    started = time.monotonic()
    rows = prepare(options, job) if job.method == PREPARE else measure(options, job)
    return job, rows, time.monotonic() - started


def prepare(options: Options, job: Job) -> list[Measured]:
    """Write what the untouched encoder and BM25 find, for all jobs of the set or of the seed."""
    texts = texts_of(options.folder(job.set), job.seed, options.sizes)
    lexical, encoder = LexicalIndex.build(texts.labels), Encoder(options.encoder)
    arrays: dict[str, Any] = {}
    for part in ("train", "held") if job.seed else ("test",):
        documents = getattr(texts, part)
        found = lexical.search([document.whole for document in documents], DEPTH)
        arrays |= zip((f"{part}_ids", f"{part}_scores"), found, strict=True)
        arrays[part] = vectors_of(encoder, documents)
    if not job.seed:
        arrays["labels"] = encoder.encode(texts.labels, "label")
        lexical.save(_file(options, job.set, "lexical"))
        if options.writer:
            from benchmarks.quality_models import written  # its libraries are for it alone

            said = written(texts.test, options.writer)
            _file(options, job.set, "phrases").write_text(json.dumps(said))
    np.savez(_file(options, job.set, job.seed), **arrays)
    return []


def _file(options: Options, name: str, what: int | str) -> Path:
    return Path(options.work) / f"{name}-{what}{'.npz' if isinstance(what, int) else ''}"


def measure(options: Options, job: Job) -> list[Measured]:
    """All rows of a method on a seed."""
    folder = options.folder(job.set)
    texts = texts_of(folder, job.seed, options.sizes)
    with tempfile.TemporaryDirectory(dir=options.work) as made:
        bench = bench_of(options, job, texts, Path(made))
        gold = gold_of(folder, options.sizes.labels)
        judge = _judge(options, texts, gold, job.seed)
        method = METHODS[job.method]
        rows = list(method(bench, judge, options.settings(job.seed)))
        if method is search and options.writer:
            from benchmarks.quality_models import icxml

            said = json.loads(_file(options, job.set, "phrases").read_text())
            rows.append(icxml(bench, judge, said))
    truth = [gold[document.doc_id] for document in texts.test]
    weights_L = frequency_of(folder, options.sizes.labels).weights_L
    return [_measured(row, truth, weights_L) for row in rows]


def bench_of(options: Options, job: Job, texts: Texts, folder: Path) -> Bench:
    """What `prepare` wrote for a set and seed; encoders go into `folder`."""
    kept: dict[str, np.ndarray] = {}
    for seed in (0, job.seed):
        with np.load(_file(options, job.set, seed)) as arrays:
            kept |= dict(arrays)
    parts = ("train", "held", "test")
    return Bench(
        texts,
        options.encoder,
        folder,
        kept["labels"],
        {part: kept[part] for part in parts},
        {part: (kept[f"{part}_ids"], kept[f"{part}_scores"]) for part in parts},
        _file(options, job.set, "lexical"),
    )


def _judge(options: Options, texts: Texts, gold: Gold, seed: int) -> Judge:
    if options.judge_model:
        from benchmarks.quality_models import model_judge

        return model_judge(options.judge_model, options.judge_prompt, texts.labels)
    return SimulatedJudge(gold, seed, options.true_yes, options.false_yes)


def _measured(row: Row, truth: metrics.Truth, weights_L: np.ndarray) -> Measured:
    values = {f"{name}@{k}": MEASURES[name](row.ids_BK, truth, k) for name, k in COLUMNS}
    above_B, below_B = metrics.psp_at_k(row.ids_BK, truth, PSP, weights_L)
    return Measured(
        row.name, values, above_B, below_B, row.calls, row.calls_each, round(row.seconds, 1)
    )
