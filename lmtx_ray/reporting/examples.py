"""Twenty documents with their tags before and after training, and the judge's word beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.schemas import JUDGED
from lmtx_ray.corpus.self_matches import without
from lmtx_ray.io import storage
from lmtx_ray.loop.finished_run import FinishedRun, verdict_names
from lmtx_ray.reporting.pairs import TOP, Pairs
from lmtx_ray.reporting.samples import Sample

COUNT, TEXT = 20, 420
Verdicts = Mapping[tuple[str, int], Mapping[str, Any]]


@dataclass(frozen=True)
class TagShown:
    """A tag: what the bundle states of it, what the judge said (its P(yes), or its word where it
    gave none; neither where it was not asked), and whether it is right (None: no gold)."""

    label: str
    stated: float | None
    judged: float | None
    answer: str | None
    right: bool | None


@dataclass(frozen=True)
class Example:
    """A document, the beginning of its text, its right labels (None: no gold) and its tags."""

    doc_id: str
    title: str
    text: str
    right: tuple[str, ...] | None
    before: tuple[TagShown, ...]
    after: tuple[TagShown, ...]


@dataclass(frozen=True)
class _Told:
    """What is known of the documents shown: names of labels, the judge's word, right labels."""

    names: Mapping[int, str]
    verdicts: Verdicts
    gold: Mapping[str, set[int]] | None

    def tags(self, doc_id: str, labels: Mapping[int, float | None]) -> tuple[TagShown, ...]:
        """label -> stated probability, as it is shown."""
        right = None if self.gold is None else self.gold[doc_id]
        shown = []
        for label, stated in labels.items():
            said = self.verdicts.get((doc_id, label), {})
            is_right = None if right is None else label in right
            tag = TagShown(
                self.names[label], stated, said.get("p_yes"), said.get("answer"), is_right
            )
            shown.append(tag)
        return tuple(shown)

    def right(self, doc_id: str) -> tuple[str, ...] | None:
        """Names of a document's right labels."""
        if self.gold is None:
            return None
        return tuple(self.names[label] for label in sorted(self.gold[doc_id]))


def examples_of(run: FinishedRun, sample: Sample, side: str) -> list[Example]:
    """Of test documents (`side` "test ") or held-aside ones (""), evenly over the sample."""
    pairs = sample.pairs
    places = np.unique(np.linspace(0, pairs.documents - 1, min(COUNT, pairs.documents)).astype(int))
    after = {pairs.doc_ids[place]: _after(pairs, place) for place in places}
    wanted = pa.array(list(after), pa.string())
    untrained = _rows(run, f"{side}hybrid 0", sample, wanted, ("doc_id", "label_ids"))
    before = _before(without(untrained, sample.never))
    gold = sample.gold and {doc_id: sample.gold[doc_id] for doc_id in after}
    used = {label for own in (*before.values(), *after.values()) for label in own}
    used |= {label for own in (gold or {}).values() for label in own}
    told = _Told(label_texts(run, used), _verdicts(run, sample, side, wanted), gold)
    documents = _rows(run, f"{side}documents", sample, wanted, ("doc_id", "title", "text"))
    by_id = {row["doc_id"]: row for row in documents.to_pylist()}
    return [
        Example(
            doc_id,
            by_id[doc_id]["title"] or "",
            _beginning(by_id[doc_id]["text"]),
            told.right(doc_id),
            told.tags(doc_id, before.get(doc_id, {})),
            told.tags(doc_id, own),
        )
        for doc_id, own in after.items()
    ]


def label_texts(run: FinishedRun, labels: set[int]) -> dict[int, str]:
    """Names of some labels."""
    ids = pa.array(sorted(labels), pa.int32())
    table = run.steps["labels"].where("label_id", ids, ["label_id", "text"])
    return dict(zip(table["label_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def _rows(
    run: FinishedRun, name: str, sample: Sample, doc_ids: pa.Array, columns: Sequence[str]
) -> pa.Table:
    """A step's rows of some documents; only the units of the sample are read, where they are
    known."""
    step = run.steps[name]
    if not sample.units:
        return step.where("doc_id", doc_ids, columns)
    files = step.unit_files()
    tables = [storage.read_table(files[unit], columns) for unit in sample.units]
    return pa.concat_tables(t.filter(pc.is_in(t["doc_id"], value_set=doc_ids)) for t in tables)


def _verdicts(run: FinishedRun, sample: Sample, side: str, doc_ids: pa.Array) -> Verdicts:
    """The first thing that was said of each pair."""
    names = ["test verdicts"] if side else list(verdict_names(run))
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for name in names:
        if run.has(name) and run.ran:
            for row in _rows(run, name, sample, doc_ids, JUDGED).to_pylist():
                found.setdefault((row["doc_id"], row["label_id"]), row)
    return found


def _before(ranked: pa.Table) -> dict[str, dict[int, float | None]]:
    """doc_id -> its first labels; nothing is stated of them."""
    rows = zip(ranked["doc_id"].to_pylist(), ranked["label_ids"].to_pylist(), strict=True)
    return {doc_id: dict.fromkeys(labels[:TOP]) for doc_id, labels in rows}


def _after(pairs: Pairs, place: int) -> dict[int, float | None]:
    """label -> stated probability of a document's first tags."""
    own = (pairs.document_N == place) & (pairs.rank_N < TOP)
    stated = zip(pairs.label_N[own].tolist(), pairs.p_N[own].tolist(), strict=True)
    return {label: None if np.isnan(p) else p for label, p in stated}


def _beginning(text: str) -> str:
    """The first words of a text, which may come after a page of blanks."""
    text = text.strip()
    if len(text) <= TEXT:
        return text
    return text[:TEXT].rsplit(None, 1)[0] + " …"
