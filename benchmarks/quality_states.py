"""What `benchmarks.quality` does with an encoder: vectors, rankings, training. All by the product's
functions, in this process and without Ray.

Shapes: B documents, K candidates, L labels, D dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks.quality_sets import Document, Texts
from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.search.candidates import Candidates, reciprocal_rank_fusion, top_k
from lmtx_ray.search.index import IndexShard
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.data_parallel import TextVectors
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.student.order import Order
from lmtx_ray.student.sizes import total_steps
from lmtx_ray.student.training import make_batch, new_optimizer, train_step

DEPTH = 100  # labels kept of a document from each side
PARTS = ("train", "held", "test")
ON_GPU = torch.cuda.is_available()
BLOCK = 512  # documents searched at once on a GPU


@dataclass(frozen=True)
class Side:
    """What is known of some documents: unit vectors, and the labels that each side finds."""

    vectors_BD: np.ndarray
    dense: Candidates
    lexical: Candidates
    fused_BK: np.ndarray

    @classmethod
    def of(cls, vectors_BD: np.ndarray, labels_LD: np.ndarray, lexical: Candidates) -> Side:
        dense = nearest(vectors_BD, labels_LD)
        fused_BK, _ = reciprocal_rank_fusion([dense[0], lexical[0]], DEPTH)
        return cls(vectors_BD, dense, lexical, fused_BK)


State = Mapping[str, Side]  # of each part, by one encoder


@dataclass
class Bench:
    """One seed's documents of a set, with what the untouched encoder and BM25 make of them.

    `seconds` is what training has taken so far.
    """

    texts: Texts
    encoder: EncoderConfig
    folder: Path  # for encoders
    labels_LD: np.ndarray
    vectors: Mapping[str, np.ndarray]
    lexical: Mapping[str, Candidates]
    lexical_index: Path
    seconds: float = 0.0
    _made: int = field(default=0, repr=False)

    def documents(self, part: str) -> list[Document]:
        """Of "train", "held" or "test"."""
        return getattr(self.texts, part)

    def untouched(self, parts: Sequence[str] = PARTS) -> State:
        """Rankings of the encoder before any training."""
        return {
            part: Side.of(self.vectors[part], self.labels_LD, self.lexical[part]) for part in parts
        }

    def state(self, model: str, parts: Sequence[str] = PARTS) -> State:
        """Rankings of a trained encoder."""
        encoder = Encoder(self.encoder, model=model)
        labels_LD = encoder.encode(self.texts.labels, "label")
        made = {part: vectors_of(encoder, self.documents(part)) for part in parts}
        return {part: Side.of(made[part], labels_LD, self.lexical[part]) for part in parts}

    def trained(self, start: str, examples: pa.Table, config: FitConfig) -> str:
        """The folder of an encoder that has learned examples of the documents to train on."""
        if not examples.num_rows:
            return start
        own = {doc.doc_id: {"title": doc.title, "text": doc.text} for doc in self.texts.train}
        rows = [{**row, **own[row["doc_id"]]} for row in examples.to_pylist()]
        started = time.monotonic()
        student = learned(start, rows, self.texts.labels, config)
        self.seconds += time.monotonic() - started
        self._made += 1
        folder = self.folder / f"encoder-{self._made}"
        student.save(str(folder), create_model_card=False)
        del student
        if ON_GPU:
            torch.cuda.empty_cache()
        return str(folder)


def learned(
    start: str, rows: Sequence[Mapping[str, Any]], labels: Sequence[str], config: FitConfig
) -> Any:
    """The trained model: the product's loop of one worker, over rows in memory."""
    student = load_model(start, device="cuda" if ON_GPU else "cpu").train()
    order = Order(
        (len(rows),), config.batch_size, config.shuffle_rows, config.seed, config.drop_last
    )
    total = total_steps(order.steps, config)
    vectors, optimizer = TextVectors(student, config), new_optimizer(student, config)
    for step in range(total):
        own = [rows[place] for part in order.parts(step) for place in part.rows]
        batch = make_batch(own, labels, config, step, total)
        train_step(vectors, optimizer, batch, config, step, total)
    return student.eval()


def vectors_of(encoder: Encoder, documents: Sequence[Document]) -> np.ndarray:
    """float32 [B, D]."""
    return encoder.encode([document.whole for document in documents], "document")


def nearest(queries_BD: np.ndarray, labels_LD: np.ndarray) -> Candidates:
    """The DEPTH nearest labels: the product's search, or the same products on a GPU."""
    depth = min(DEPTH, len(labels_LD))
    if not ON_GPU:
        return padded(IndexShard(labels_LD).search(queries_BD, depth))
    labels = torch.from_numpy(labels_LD).cuda()
    found = [
        (torch.from_numpy(queries_BD[first : first + BLOCK]).cuda() @ labels.T).topk(depth, dim=1)
        for first in range(0, len(queries_BD), BLOCK)
    ]
    ids_BK = torch.cat([one.indices for one in found]).int().cpu().numpy()
    return top_k(ids_BK, torch.cat([one.values for one in found]).cpu().numpy(), DEPTH)


def padded(found: Candidates) -> Candidates:
    """Lists of DEPTH."""
    return top_k(*found, DEPTH)
