"""What people said of held-aside documents, beside what the judge itself said of the same pairs."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.judges_answers import judges_answers, shown_labels
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.questions import first_by_key
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import VerdictStore

Pair = tuple[str, int]  # doc_id, label_id


class Corpus(Protocol):
    """Published documents and labels: of a run that is under way, or of a finished one."""

    @property
    def documents(self) -> PublishedFolder:
        """Published `documents`."""

    @property
    def labels(self) -> PublishedFolder:
        """Published `labels`."""


def reviews_of(store: VerdictStore, corpus: Corpus, doc_ids: pa.Array) -> dict[Pair, bool]:
    """Whether people said yes, of each pair of these documents that they answered."""
    human = store.human().snapshot()
    if not human.parts and not human.layers:
        return {}
    documents = _documents(corpus, doc_ids)
    answers = first_by_key(Lookup(human).find(documents))
    labels = _labels(corpus, {label for _, label in answers})
    return {
        (doc_id, label_id): row["answer"] == "yes"
        for (document, label), row in answers.items()
        for doc_id in documents.get(document, ())
        for label_id in labels.get(label, ())
    }


def _labels(corpus: Corpus, names: set[bytes]) -> dict[bytes, list[int]]:
    """Key of a label's name -> the ids of those that are called so, for these names."""
    found: dict[bytes, list[int]] = {}
    for table in corpus.labels.tables(["label_id", "text"]):
        for label_id, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if (key := text_key(text)) in names:
                found.setdefault(key, []).append(label_id)
    return found


def keys_of(layout: Layout, doc_ids: pa.Array) -> dict[str, bytes]:
    """The key of each of these documents' texts."""
    documents = _documents(layout, doc_ids)
    return {doc_id: key for key, own in documents.items() for doc_id in own}


def judges_own(config: RunConfig, layout: Layout, verdicts: pa.Table) -> pa.Table:
    """Verdicts with the judge's answers in the place of people's, which it may not have given."""
    human = pc.equal(verdicts["teacher"], HUMAN)
    asked = verdicts.filter(human)
    if asked.num_rows == 0:
        return verdicts
    keys = keys_of(layout, pc.unique(asked["doc_id"]))
    wanted = set(asked["label_id"].to_pylist())
    labels = shown_labels(layout.labels, layout.prompt)
    seen = {one.label_id: text_key(one.seen) for one in labels if one.label_id in wanted}
    answers = judges_answers(config, layout.judge, layout.prompt, set(keys.values()))
    rows = [
        {**row, "answer": own.answer, "p_yes": own.p_yes}
        for row in asked.to_pylist()
        if (own := answers.get((keys[row["doc_id"]], seen[row["label_id"]])))
    ]
    instead = pa.Table.from_pylist(rows, schema=asked.schema)
    return pa.concat_tables([verdicts.filter(pc.invert(human)), instead])


def _documents(corpus: Corpus, doc_ids: pa.Array) -> dict[bytes, list[str]]:
    """Key of a document's texts -> its ids."""
    if isinstance(doc_ids, pa.ChunkedArray):
        doc_ids = doc_ids.combine_chunks()
    table = corpus.documents.where("doc_id", doc_ids, ["doc_id", "title", "text"])
    found: dict[bytes, list[str]] = {}
    for doc_id, key in zip(table["doc_id"].to_pylist(), document_keys(table), strict=True):
        found.setdefault(key, []).append(doc_id)
    return found
