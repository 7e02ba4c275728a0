"""Documents to training examples without any judge: rows of pairs, and a state's own labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.lengths import count_words
from lmtx_ray.corpus.text_keys import is_blank
from lmtx_ray.student.sizes import pairs_per_document


def title_examples(documents: pa.Table, clusters: list[list[int]]) -> pa.Table:
    """TITLE_EXAMPLES of the documents to train on that have a title beside their text.

    Args:
        documents: DOCUMENTS.
        clusters: For each of them its cluster at each scale; empty lists where there are none.
    """
    rows = [
        {"doc_id": row["doc_id"], "clusters": own}
        for row, own in zip(documents.to_pylist(), clusters, strict=True)
        if row["split"] == "train" and not is_blank(row["title"]) and row["text"] != row["title"]
    ]
    return _table(rows, schemas.TITLE_EXAMPLES)


def segment_examples(documents: pa.Table, words: tuple[int, int]) -> pa.Table:
    """SEGMENT_EXAMPLES: each document to train on once for each pair that segments of `words` words
    (least, most) make of it."""
    rows = [
        {"doc_id": row["doc_id"], "slot": slot}
        for row in documents.to_pylist()
        if row["split"] == "train"
        for slot in range(
            pairs_per_document(count_words(row["text"]), not is_blank(row["title"]), *words)
        )
    ]
    return _table(rows, schemas.SEGMENT_EXAMPLES)


def own_examples(
    documents: pa.Table, rankings: Sequence[pa.Table], firsts: Sequence[int]
) -> pa.Table:
    """EXAMPLES: the first labels of each document to train on, as if they were right, so many of
    each of some rankings of it; nobody knows a wrong one.

    Raises:
        ValueError: The rankings are of other documents.
    """
    for ranking in rankings:
        if ranking["doc_id"].to_pylist() != documents["doc_id"].to_pylist():
            raise ValueError("documents and rankings hold other documents; re-run the step")
    ids = zip(*(ranking["label_ids"].to_pylist() for ranking in rankings), strict=True)
    columns = zip(documents["doc_id"].to_pylist(), documents["split"].to_pylist(), ids, strict=True)
    rows = []
    for doc_id, split, lists in columns:
        firsts_of = (own[:most] for own, most in zip(lists, firsts, strict=True))
        own = list(dict.fromkeys(chain.from_iterable(firsts_of)))
        if split == "train" and own:
            rows.append({"doc_id": doc_id, "positives": own, "targets": [1.0] * len(own)})
    return _table([{**row, "hard_negatives": []} for row in rows], schemas.EXAMPLES)


def _table(rows: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    return schemas.conform(pa.Table.from_pylist(rows, schema=schema), schema)
