"""What tagging a document costs with 10,000 to a million labels, part by part.

    python -m benchmarks.tag_cost [--quick] [--labels N ...] [--documents N] [--output FILE]

Bundles of made labels (`benchmarks/lexical.py`) with the packaged all-MiniLM-L6-v2 as it is, words
and vectors fused. A label's vector lies near that of one of 1,024 labels that are encoded, as those
of a vocabulary lie in groups. Documents are 150 made words, of which the encoder reads 128 tokens.
Counts seconds of the processor: encode, dense search, search by words, and what is left (fusion,
probabilities, rows of tags); of each 64 documents the least of some passes. Tells how many of the
nearest labels the dense side finds; these documents are farther from these labels than real ones
from a real vocabulary (`benchmarks/index.py`). With --quick fewer documents, and no size between
the least and the most. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.lexical import made_documents, made_labels
from benchmarks.plain_bundle import ENCODER, publish_labels
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.search import IndexConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.search.approximate import settle, share
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.search.index_choice import choose, kind_of
from lmtx_ray.search.shard_file import read_shard, shard_name, write_shard
from lmtx_ray.search.singly import nearest
from lmtx_ray.student.encoder import Encoder

RESULTS = Path(__file__).resolve().parent / "results"
LABELS, DOCUMENTS, QUICK_DOCUMENTS = (10_000, 100_000, 1_000_000), 512, 128
GIB = 1 << 30
GROUPS, SPREAD, PIECE = 1024, 0.8, 1 << 13
BLOCK, PASSES = 64, 3
NEAREST = 100
MOST = 1.3  # times what a document costs with the fewest labels
PARTS = ("encode", "dense", "lexical", "rest")


def label_table(count: int) -> pa.Table:
    """Made labels with keys L0, L1, …"""
    texts = list(made_labels(count))
    keys = [f"L{number}" for number in range(count)]
    table = {"label_id": range(count), "label_key": keys, "text": texts}
    return schemas.conform(pa.table({**table, "parent_keys": [None] * count}), schemas.LABELS)


def label_vectors(labels: pa.Table) -> Iterator[np.ndarray]:
    """Pieces of unit vectors, a label's near that of its group."""
    draw = np.random.default_rng(3)
    centres_GD = Encoder(ENCODER).encode(labels["text"].to_pylist()[:GROUPS], "label")
    for start in range(0, len(labels), PIECE):
        rows = min(PIECE, len(labels) - start)
        off_PD = draw.standard_normal((rows, centres_GD.shape[1]), dtype=np.float32)
        off_PD *= SPREAD / np.linalg.norm(off_PD, axis=1, keepdims=True)
        piece_PD = centres_GD[draw.integers(0, len(centres_GD), rows)] + off_PD
        yield piece_PD / np.linalg.norm(piece_PD, axis=1, keepdims=True)


def save_index(folder: Path, labels: pa.Table) -> None:
    """The index of the default choice."""
    pieces = label_vectors(labels)
    first_PD = next(pieces)
    shape = len(labels), first_PD.shape[1]
    write_shard(folder / shard_name(0), chain([first_PD], pieces), shape)
    rule = IndexConfig()
    kind = choose(*shape, rule.memory_gib * GIB, rule.recall, has_int8())
    settle(folder, 0, kind_of(kind), rule.recall)


def publish(folder: Path, labels: pa.Table) -> str:
    """A bundle of these labels."""
    return publish_labels(folder, "made", labels, lambda index: save_index(index, labels))


class Counted:
    """Adds up what calls of a tagger's parts take of the processor."""

    def __init__(self, tagger: Tagger) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        tagger.encode = self._counting("encode", tagger.encode)  # type: ignore[method-assign]
        tagger.search = self._counting("dense", tagger.search)  # type: ignore[method-assign]
        words = tagger._ranker.lexical
        assert words is not None
        words.search = self._counting("lexical", words.search)  # type: ignore[method-assign]
        self._tag = tagger.tag

    def _counting(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds[part] += time.process_time() - began

        return counted

    def of(self, texts: Sequence[str]) -> dict[str, float]:
        """Seconds of each part for some documents."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        began = time.process_time()
        self._tag(texts)
        whole = time.process_time() - began
        return {**self.seconds, "rest": whole - sum(self.seconds.values())}


def costs(bundles: Sequence[str], documents: int) -> list[dict[str, float]]:
    """Of each bundle milliseconds of a core for a document, by part and together. They take turns:
    what else the machine does adds to all alike."""
    taggers = [Counted(Tagger.load(bundle)) for bundle in bundles]
    texts = made_documents(documents, 1)
    for counted in taggers:
        counted.of(texts[:BLOCK])  # kernels are made, files are mapped
    spent = [dict.fromkeys(PARTS, 0.0) for _ in bundles]
    for start in range(0, documents, BLOCK):
        block = texts[start : start + BLOCK]
        passes = [[counted.of(block) for counted in taggers] for _ in range(PASSES)]
        for own, mine in zip(spent, zip(*passes, strict=True), strict=True):
            for part in PARTS:
                own[part] += min(one[part] for one in mine)
    found = []
    for own in spent:
        ms = {part: round(1000 * seconds / documents, 3) for part, seconds in own.items()}
        found.append({**ms, "together": round(sum(ms.values()), 3)})
    return found


def recall(bundle: str, documents: int) -> float:
    """The share of their NEAREST labels, by all products, that the dense side finds."""
    tagger = Tagger.load(bundle)
    vectors_BD = tagger.encode(made_documents(documents, 1))
    labels_LD = read_shard(Path(tagger.folder) / "index" / shard_name(0)).vectors_LD
    true_BK = nearest(labels_LD, vectors_BD, NEAREST)[0]
    return round(share(tagger.search(vectors_BD, NEAREST)[0], true_BK), 3)


def measured(labels: Sequence[int], documents: int) -> list[dict[str, Any]]:
    """A row for each number of labels."""
    with tempfile.TemporaryDirectory() as folder:
        bundles, built = [], []
        for count in labels:
            began = time.monotonic()
            bundles.append(publish(Path(folder) / f"bundle-{count}", label_table(count)))
            built.append(round(time.monotonic() - began, 1))
        found = [recall(bundle, documents) for bundle in bundles]
        rows = zip(labels, built, costs(bundles, documents), found, strict=True)
        names = ("labels", "built_seconds", "ms", "recall")
        return [dict(zip(names, row, strict=True)) for row in rows]


def asked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was asked for, and whether it is met."""
    first, last = rows[0], rows[-1]
    ratio = round(last["ms"]["together"] / first["ms"]["together"], 3)
    what = f"CPU of a document with {last['labels']:,} labels over that with {first['labels']:,}"
    return [{"what": what, "value": ratio, "wanted": f"<= {MOST}", "met": ratio <= MOST}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer documents and sizes")
    parser.add_argument("--labels", type=int, nargs="+", help="sizes, the least first")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--note", default="", help="kept with the result, such as what else ran")
    parser.add_argument("--output", type=Path, help="write the result there")
    given = parser.parse_args()
    labels = given.labels or (LABELS[:: len(LABELS) - 1] if given.quick else LABELS)
    documents = given.documents or (QUICK_DOCUMENTS if given.quick else DOCUMENTS)
    rows = measured(labels, documents)
    head = {"note": given.note, "quick": given.quick, "documents": documents}
    result = {**head, "results": rows, "asked": asked(rows)}
    kind = "-quick" if given.quick else ""
    named = RESULTS / f"tag_cost-{datetime.date.today().isoformat()}{kind}.json"
    (given.output or named).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
