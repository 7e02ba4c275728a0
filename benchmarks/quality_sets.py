"""The data sets of `benchmarks.quality`: texts for the methods, and gold apart from them.

Form: folders of `labels.jsonl.gz`, `test.jsonl.gz` and, where there is one, `judge.jsonl.gz`, lines
of {"uid", "title", "content", "target_ind"}. Documents to train on need gold only because a judge
is simulated from it; methods are given `Texts`, which hold none.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.evaluation.frequency import Frequency

SETS = ("tib-gnd-core", "mesh-reviews", "debtags")
SPLIT_SEED = 5  # of test documents into a pool and a test where there are no others with gold
POOL_SHARE = 0.6
Gold = Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class Document:
    """`text` has no title in it."""

    doc_id: str
    title: str | None
    text: str

    @property
    def whole(self) -> str:
        """What every component reads."""
        return document_text(self.title, self.text)


@dataclass(frozen=True)
class Sizes:
    """How many documents are taken; 0 of `documents` or `test` are all there are."""

    documents: int = 1800
    held_aside: int = 250
    test: int = 0


@dataclass(frozen=True)
class Texts:
    """One seed's documents of a set: to train on, held aside, and to test."""

    labels: list[str]
    train: list[Document]
    held: list[Document]
    test: list[Document]


def texts_of(folder: Path, seed: int, sizes: Sizes) -> Texts:
    """The documents of a seed. Test documents are the same for all seeds."""
    labels = [row["title"] for row in _rows(folder / "labels.jsonl.gz")]
    pool, test = map(_documents, _pool_and_test(folder))
    order = np.random.default_rng(seed).permutation(len(pool))
    held = min(sizes.held_aside, len(pool) // 5)
    most = len(pool) - held
    first = order[: min(sizes.documents or most, most)]
    chosen = [pool[place] for place in first], [pool[place] for place in order[most:]]
    return Texts(labels, *chosen, test[: sizes.test or len(test)])


def gold_of(folder: Path) -> Gold:
    """Right labels of all documents, for evaluation and for the simulated judge."""
    pool, test = _pool_and_test(folder)
    return {str(row["uid"]): frozenset(row["target_ind"]) for row in (*pool, *test)}


def frequency_of(folder: Path, labels: int) -> Frequency:
    """How often each label is right in the pool: for propensities."""
    pool, _ = _pool_and_test(folder)
    counts_L = np.bincount([label for row in pool for label in row["target_ind"]], minlength=labels)
    return Frequency(counts_L, len(pool))


def _pool_and_test(folder: Path) -> tuple[list[Any], list[Any]]:
    """Rows with gold: those to draw from and those to test on."""
    test = [row for row in _rows(folder / "test.jsonl.gz") if row["target_ind"]]
    pool = folder / "judge.jsonl.gz"
    if pool.exists():
        return list(_rows(pool)), test
    order = np.random.default_rng(SPLIT_SEED).permutation(len(test))
    mixed = [test[place] for place in order]
    end = round(POOL_SHARE * len(mixed))
    return mixed[:end], mixed[end:]


def _documents(rows: Sequence[Mapping[str, Any]]) -> list[Document]:
    return [Document(str(row["uid"]), row.get("title"), row["content"] or "") for row in rows]


def _rows(file: Path) -> Iterator[Any]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
