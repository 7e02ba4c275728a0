"""A few documents of a corpus with a few of its labels each, for plans: nothing is searched."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import cycle, islice

import pyarrow as pa

from lmtx_ray.corpus.counting import first_documents
from lmtx_ray.corpus.label_texts import with_parents
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import QUESTIONS

DOCUMENTS, LABELS = 200, 4096


@dataclass(frozen=True)
class Sample:
    """Documents, each with what a judge sees of some labels, and the keys of their texts."""

    titles: Sequence[str | None]
    texts: Sequence[str]
    labels: Sequence[Sequence[str]]
    keys: Sequence[bytes]

    def questions(self, first: int, last: int) -> pa.Table:
        """QUESTIONS about the documents [first, last)."""
        rows = [
            {
                "doc_id": str(place),
                "title": self.titles[place],
                "text": self.texts[place],
                "label_ids": list(range(len(self.labels[place]))),
                "label_texts": list(self.labels[place]),
            }
            for place in range(first, min(last, len(self.texts)))
        ]
        return pa.Table.from_pylist(rows, schema=QUESTIONS)


def sample_corpus(config: RunConfig, prompt: Prompt) -> Sample:
    """The corpus's first documents, each with `top_k` labels of the first thousands."""
    documents = first_documents(config.corpus, DOCUMENTS)
    table = next(iter(label_tables(config.corpus, LABELS, LeftOut())))
    if prompt.shows_parents:  # those among the first ones
        table = with_parents(table, table)
    texts = cycle(prompt.label_text(row) for row in table.to_pylist())
    each = max(min(config.judge.top_k, table.num_rows), 1)
    return Sample(
        documents["title"].to_pylist(),
        documents["text"].to_pylist(),
        [list(islice(texts, each)) for _ in range(documents.num_rows)],
        document_keys(documents),
    )


def labels_in_use(config: RunConfig, prompt: Prompt, keys: Set[bytes]) -> set[bytes]:
    """Those of some keys of labels, as the judge sees them, that the label set has; all of them
    where parents are shown, as these may be anywhere in the file."""
    if prompt.shows_parents or not keys:
        return set(keys)
    tables = label_tables(config.corpus, LABELS, LeftOut())
    texts = (prompt.label_text(row) for table in tables for row in table.to_pylist())
    return {key for key in map(text_key, texts) if key in keys}
