"""Both sides of an evaluation by one numbering of labels, and which documents they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS, read_tag_file
from lmtx_ray.corpus.gold import Gold, GoldSource, read_gold
from lmtx_ray.corpus.label_names import LabelNames, plain
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.loop.label_sources import label_names

Given = Any  # pa.Table, what pa.table() takes (a dict of columns, a DataFrame), or a URI
KEYS = "label_keys"
EXAMPLES = 3  # ids that are shown of documents on one side only


@dataclass(frozen=True)
class Matched:
    """Answers and gold by one numbering of labels. Both tables have doc_id and label_ids, `ranked`
    perhaps probabilities; `names` are those of the label set, others are numbered after them."""

    ranked: pa.Table
    right: pa.Table
    gold: Gold
    names: LabelNames
    further: dict[str, int]

    def number(self, key: str) -> int:
        """The number of a label's key or name."""
        return number_of(key, self.names, self.further)

    def label(self, label: int) -> str:
        """The key of a label, or the name that no label has."""
        if label < len(self.names):
            return self.names.key(label)
        others = {number: name for name, number in self.further.items()}
        return others.get(label, str(label))


def match(answers: Given, gold: Given | GoldSource, labels: Given = None) -> Matched:
    """Both sides by one numbering of labels. Raises as `evaluating.evaluate`."""
    table = _answers(answers)
    kind = _kind("answers", table)
    truth = _gold_given(gold)
    if labels is not None:
        names = label_names(labels)
    else:
        _refuse_mixed(kind, truth)
        names = _own_names(table) if kind == KEYS else LabelNames([], [])
    further: dict[str, int] = {}
    ranked = _by_ids(table, kind, names, further)
    read = (
        read_gold(truth, names, labels is not None, further)
        if isinstance(truth, GoldSource)
        else _gold_of(_by_ids(truth, _kind("gold", truth), names, further))
    )
    _refuse_no_gold(truth, read)
    if labels is None and kind == IDS and further:
        raise ValueError("answers have label_ids, gold has names: give `labels`")
    right = pa.table(
        {
            "doc_id": pa.array(read.labels, pa.string()),
            IDS: pa.array(read.labels.values(), pa.list_(pa.int64())),
        }
    )
    return Matched(ranked, right, read, names, further)


def _answers(given: Given) -> pa.Table:
    if isinstance(given, str):
        return read_tag_file(given)
    return given if isinstance(given, pa.Table) else pa.table(given)


def _gold_given(given: Given | GoldSource) -> pa.Table | GoldSource:
    if isinstance(given, GoldSource):
        (first, *_) = given.files
        given = first if storage.exists(storage.join(first, MANIFEST)) else given
    if isinstance(given, str):
        if not storage.exists(storage.join(given, MANIFEST)):
            return GoldSource((given,))
        return PublishedFolder(given).read()
    return given if isinstance(given, GoldSource | pa.Table) else pa.table(given)


def _kind(name: str, table: pa.Table) -> str:
    kind = next((kind for kind in (IDS, KEYS) if kind in table.column_names), None)
    if kind is None or "doc_id" not in table.column_names:
        there = ", ".join(table.column_names)
        raise ValueError(f"{name}: doc_id and {KEYS} or {IDS} are needed, there are: {there}")
    return kind


def _refuse_mixed(kind: str, gold: pa.Table | GoldSource) -> None:
    if isinstance(gold, pa.Table) and (other := _kind("gold", gold)) != kind:
        said = f"answers have {kind}, gold have {other}"
        raise ValueError(f"{said}: give `labels`, with label_id and label_key")


def _refuse_no_gold(source: pa.Table | GoldSource, gold: Gold) -> None:
    if gold.pairs():
        return
    name = ", ".join(source.files) if isinstance(source, GoldSource) else "gold"
    first = next((f"; row {bad['position']}: {bad['reason']}" for bad in gold.rejects), "")
    raise CorpusError(f"{name}: no gold label in {gold.rows} rows{first}")


def _own_names(table: pa.Table) -> LabelNames:
    """The labels that the answers themselves name."""
    texts: dict[str, str] = {}
    named = "labels" in table.column_names
    for row in table.select([KEYS, "labels"] if named else [KEYS]).to_pylist():
        keys = row[KEYS] or ()
        texts.update(zip(keys, (row["labels"] if named else None) or keys, strict=True))
    return LabelNames(list(texts), list(texts.values()))


def _by_ids(table: pa.Table, kind: str, names: LabelNames, further: dict[str, int]) -> pa.Table:
    """doc_id, label_ids, and probabilities if there are; keys that no label has are numbered after
    the label set."""
    if kind == KEYS:
        lists = [
            [number_of(key, names, further) for key in keys or ()]
            for keys in table[KEYS].to_pylist()
        ]
    else:
        lists = [ids or [] for ids in table[IDS].to_pylist()]
    ids = [str(doc_id) for doc_id in table["doc_id"].to_pylist()]
    columns = {"doc_id": pa.array(ids, pa.string()), IDS: pa.array(lists, pa.list_(pa.int64()))}
    if "probabilities" in table.column_names:
        columns["probabilities"] = table["probabilities"]
    return pa.table(columns)


def number_of(key: str, names: LabelNames, further: dict[str, int]) -> int:
    """The label id of a key or name, else its number in `further`, after the label set."""
    label = names.resolve(key) if names.knows(key) else None
    if isinstance(label, int):
        return label
    return further.setdefault(plain(key), len(names) + len(further))


def _gold_of(table: pa.Table) -> Gold:
    rows = table.to_pylist()
    return Gold({row["doc_id"]: row[IDS] for row in rows}, [], len(rows))


def overlap(found: Matched, matched_only: bool) -> tuple[dict[str, Any], pa.Table]:
    """(what `evaluate` tells of both sides, the gold that counts). Raises ValueError where no
    document is on both."""
    tagged, gold = found.ranked["doc_id"].to_pylist(), found.gold
    labelled = [doc_id for doc_id, labels in gold.labels.items() if labels]
    have, want = set(tagged), set(labelled)
    if not have & want:
        sides = f"tags have {_shown(tagged)}, gold has {_shown(labelled)}"
        raise ValueError(f"no document is both in the tags and in the gold: {sides}")
    told = {
        "matched": len(have & want),
        "only_gold": _only(labelled, have),
        "only_tags": _only(tagged, set(gold.labels)),
        "gold": {
            "rows": gold.rows,
            "documents": len(labelled),
            "labels": gold.pairs(),
            "without_labels": len(gold.labels) - len(labelled),
            "rejected": len(gold.rejects),
            "rejects": [_place(bad) for bad in gold.rejects[:EXAMPLES]],
        },
        "most_tags": max(map(len, found.ranked[IDS].to_pylist()), default=0),
    }
    kept = pa.array([doc_id in have or not matched_only for doc_id in gold.labels], pa.bool_())
    return told, found.right.filter(kept)


def _place(bad: Mapping[str, Any]) -> str:
    return f"{bad['source']} row {bad['position']}: {bad['reason']}"


def _only(ids: Sequence[str], others: set[str]) -> dict[str, Any]:
    own = [doc_id for doc_id in ids if doc_id not in others]
    return {"documents": len(own), "examples": own[:EXAMPLES]}


def _shown(ids: Sequence[str]) -> str:
    more = ", …" if len(ids) > EXAMPLES else ""
    return f"{', '.join(map(repr, ids[:EXAMPLES])) or 'none'}{more} ({len(ids)})"
