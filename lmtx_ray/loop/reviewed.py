"""What people said of held-aside documents, beside what the judge itself said of the same pairs.

A run's verdicts hold people's answers in the place of the judge's. To learn how often the judge is
right both are needed, so both are looked up in the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.io import storage
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.priors import Calibration, document_key, priors_in
from lmtx_ray.teacher.questions import first_by_key
from lmtx_ray.teacher.reading import decide
from lmtx_ray.verdicts.lookup import Lookup

Pair = tuple[str, int]  # doc_id, label_id
OWN = ("answer", "p_yes")


def reviews_of(config: RunConfig, layout: Layout, doc_ids: pa.Array) -> dict[Pair, bool]:
    """Whether people said yes, of each pair of these documents that they answered."""
    human = config.verdict_store.human().snapshot()
    if not human.parts and not human.layers:
        return {}
    documents = _documents(layout, doc_ids)
    labels: dict[bytes, list[int]] = {}
    for label_id, text, _ in _labels(layout):
        labels.setdefault(text_key(text), []).append(label_id)
    return {
        (doc_id, label_id): row["answer"] == "yes"
        for (document, label), row in first_by_key(Lookup(human).find(documents)).items()
        for doc_id in documents.get(document, ())
        for label_id in labels.get(label, ())
    }


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
    seen = {label: text_key(text) for label, _, text in _labels(layout) if label in wanted}
    prompt, teacher = layout.judge
    store = Lookup(config.verdict_store.partition(teacher, prompt).snapshot())
    known = first_by_key(store.find(set(keys.values())))
    least = layout.prompt.least_mass(config.judge.teacher.least_mass)
    read = calibration_of(config, store)
    rows = [
        {**row, **_answer(stored, least, read)}
        for row in asked.to_pylist()
        if (stored := known.get((keys[row["doc_id"]], seen[row["label_id"]])))
    ]
    own = pa.Table.from_pylist(rows, schema=asked.schema)
    return pa.concat_tables([verdicts.filter(pc.invert(human)), own])


def calibration_of(config: RunConfig, store: Lookup) -> Calibration:
    """How the run reads the P(yes) that a store has of its judge."""
    judge = config.judge
    wanted = judge.calibration == "prior"
    priors = priors_in(store.find([document_key()])) if wanted else {}
    return Calibration(priors, judge.temperature)


def _answer(stored: Mapping[str, Any], least_mass: float, read: Calibration) -> dict[str, Any]:
    answer, p_yes = stored["answer"], stored["p_yes"]
    if p_yes is not None:
        p_yes = read.of(stored["label"], p_yes)
        answer = decide(p_yes, stored["mass"], least_mass)
    return {"answer": answer, "p_yes": None if answer == "unclear" else p_yes}


def _documents(layout: Layout, doc_ids: pa.Array) -> dict[bytes, list[str]]:
    """Key of a document's texts -> its ids."""
    if isinstance(doc_ids, pa.ChunkedArray):
        doc_ids = doc_ids.combine_chunks()
    table = layout.documents.where("doc_id", doc_ids, ["doc_id", "title", "text"])
    found: dict[bytes, list[str]] = {}
    for doc_id, key in zip(table["doc_id"].to_pylist(), document_keys(table), strict=True):
        found.setdefault(key, []).append(doc_id)
    return found


def _labels(layout: Layout) -> Iterator[tuple[int, str, str]]:
    """(label_id, name, what the judge sees of it)."""
    columns = ["label_id", "text", "description", "aliases"]
    for file in layout.labels.files():
        for row in storage.read_table(file, columns).to_pylist():
            yield row["label_id"], row["text"], layout.prompt.label_text(row)
