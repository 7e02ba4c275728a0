"""The data sets of `benchmarks.quality`: texts for the methods, and gold apart from them.

Form: folders of `labels.jsonl.gz`, `test.jsonl.gz` and, where there is one, `judge.jsonl.gz`, lines
of {"uid", "title", "content", "target_ind"}. Documents to train on need gold only because a judge
is simulated from it; methods are given `Texts`, which hold none. A smaller label set keeps all
labels that are right for any document: it is easier to search than the whole one.
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
LABEL_SEED = 7  # of the labels that a smaller label set keeps
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
    """How many documents and labels are taken; 0 of `documents`, `test` or `labels` are all there
    are."""

    documents: int = 1800
    held_aside: int = 250
    test: int = 0
    labels: int = 0


@dataclass(frozen=True)
class Texts:
    """One seed's documents of a set: to train on, held aside, and to test."""

    labels: list[str]
    train: list[Document]
    held: list[Document]
    test: list[Document]


def texts_of(folder: Path, seed: int, sizes: Sizes) -> Texts:
    """The documents of a seed. Test documents are the same for all seeds."""
    labels = _label_texts(folder)
    labels = [labels[label] for label in kept_labels(folder, sizes.labels)]
    pool, test = map(_documents, _pool_and_test(folder))
    order = np.random.default_rng(seed).permutation(len(pool))
    held = min(sizes.held_aside, len(pool) // 5)
    most = len(pool) - held
    first = order[: min(sizes.documents or most, most)]
    chosen = [pool[place] for place in first], [pool[place] for place in order[most:]]
    return Texts(labels, *chosen, test[: sizes.test or len(test)])


def kept_labels(folder: Path, most: int = 0) -> list[int]:
    """The labels of a smaller label set in their order: all that are right for any document, and
    others drawn to `most`; with 0 the whole set."""
    count = len(_label_texts(folder))
    if not most or most >= count:
        return list(range(count))
    pool, test = _pool_and_test(folder)
    right = {label for row in (*pool, *test) for label in row["target_ind"]}
    others = [label for label in range(count) if label not in right]
    order = np.random.default_rng(LABEL_SEED).permutation(len(others))
    return sorted(right | {others[place] for place in order[: max(most - len(right), 0)]})


def gold_of(folder: Path, labels: int = 0) -> Gold:
    """Right labels of all documents, for evaluation and for the simulated judge; their numbers are
    those among `kept_labels`."""
    place = {label: number for number, label in enumerate(kept_labels(folder, labels))}
    pool, test = _pool_and_test(folder)
    return {
        str(row["uid"]): frozenset(place[label] for label in row["target_ind"])
        for row in (*pool, *test)
    }


def frequency_of(folder: Path, labels: int = 0) -> Frequency:
    """How often each of `kept_labels` is right in the pool: for propensities."""
    pool, _ = _pool_and_test(folder)
    right, count = [x for row in pool for x in row["target_ind"]], len(_label_texts(folder))
    counts_L = np.bincount(right, minlength=count)[kept_labels(folder, labels)]
    return Frequency(counts_L, len(pool))


def _label_texts(folder: Path) -> list[str]:
    return [row["title"] for row in _rows(folder / "labels.jsonl.gz")]


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
