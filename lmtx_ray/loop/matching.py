"""Both sides of an evaluation by one numbering of labels, and which documents they share."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS, read_tag_file
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.gold import Gold, GoldSource, read_gold, refuse_no_pairs
from lmtx_ray.corpus.label_names import LabelNames, plain
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.loop.label_sources import label_names

Given = Any  # pa.Table, what pa.table() takes (a dict of columns, a DataFrame), or a URI
KEYS = "label_keys"
EXAMPLES = 3  # ids that are shown of documents on one side only


@dataclass(frozen=True)
class Numbering:
    """Labels as numbers: ids of the label set `names`, and after them what is no label of it, as it
    comes. Where it is `strict`, gold that is no label of the set is rejected."""

    names: LabelNames
    strict: bool
    further: dict[str, int] = field(default_factory=dict)

    def number(self, key: str) -> int:
        """The number of a label's key or text, or of a name that no label has."""
        label = self.names.resolve(key) if self.names.knows(key) else None
        if isinstance(label, int):
            return label
        return self.further.setdefault(plain(key), len(self.names) + len(self.further))

    def key(self, label: int) -> str:
        """The key of a label, or the name that no label has."""
        if label < len(self.names):
            return self.names.key(label)
        return next((name for name, own in self.further.items() if own == label), str(label))

    def text(self, label: int) -> str:
        """The text of a label, or the name that no label has."""
        return self.names.text(label) if label < len(self.names) else self.key(label)

    def table(self, side: str, given: pa.Table) -> pa.Table:
        """doc_id, label_ids, and probabilities if there are. Raises ValueError for other columns,
        naming the `side`."""
        if kind_of(side, given) == KEYS:
            lists = [list(map(self.number, keys or ())) for keys in given[KEYS].to_pylist()]
        else:
            lists = [ids or [] for ids in given[IDS].to_pylist()]
        ids = [str(doc_id) for doc_id in given["doc_id"].to_pylist()]
        columns = {"doc_id": pa.array(ids, pa.string()), IDS: pa.array(lists, pa.list_(pa.int64()))}
        if "probabilities" in given.column_names:
            columns["probabilities"] = given["probabilities"]
        return pa.table(columns)

    def gold(self, given: pa.Table | GoldSource, rejects: str | None = None) -> Gold:
        """Gold of a table or of files; what is rejected is written to the CSV `rejects`. Raises
        CorpusError where no label of it is of use."""
        if isinstance(given, GoldSource):
            gold, name = read_gold(given, self.names, self.strict, self.further), _name(given)
        else:
            rows = self.table("gold", given).to_pylist()
            gold, name = Gold({row["doc_id"]: row[IDS] for row in rows}, [], len(rows)), "gold"
        if rejects is not None:
            _write_rejects(gold, rejects)
        refuse_no_pairs(gold, name)
        return gold


@dataclass(frozen=True)
class Matched:
    """Answers and gold by one numbering of labels; `ranked` and `right` have doc_id and label_ids,
    `ranked` perhaps probabilities."""

    ranked: pa.Table
    gold: Gold
    numbering: Numbering

    @property
    def right(self) -> pa.Table:
        """The gold as a table."""
        return as_table(self.gold.labels)


def as_table(labels: Mapping[str, Sequence[int]]) -> pa.Table:
    """doc_id and label_ids."""
    lists = pa.array(labels.values(), pa.list_(pa.int64()))
    return pa.table({"doc_id": pa.array(labels, pa.string()), IDS: lists})


def match(
    answers: Given, gold: Given | GoldSource, labels: Given = None, rejects: str | None = None
) -> Matched:
    """Both sides by one numbering of labels; rejects of the gold are written to the CSV `rejects`.
    Raises as `evaluating.evaluate`."""
    table, truth = answers_given(answers), gold_given(gold)
    kind = kind_of("answers", table)
    if labels is not None:
        numbering = Numbering(label_names(labels), strict=True)
    else:
        _refuse_mixed(kind, truth)
        names = own_names(table) if kind == KEYS else LabelNames([], [])
        numbering = Numbering(names, strict=False)
    ranked, read = numbering.table("answers", table), numbering.gold(truth, rejects)
    if labels is None and kind == IDS and numbering.further:
        raise ValueError("answers have label_ids, gold has names: give the labels")
    return Matched(ranked, read, numbering)


def has_probabilities(table: pa.Table) -> bool:
    """Whether any tag of a table has one."""
    if "probabilities" not in table.column_names:
        return False
    return any(one is not None for row in table["probabilities"].to_pylist() for one in row or ())


def answers_given(given: Given) -> pa.Table:
    """Answers as a table; those at a URI are read."""
    if isinstance(given, str):
        return read_tag_file(given)
    return given if isinstance(given, pa.Table) else pa.table(given)


def gold_given(given: Given | GoldSource) -> pa.Table | GoldSource:
    """Gold as a table, or the files that it is to be read from."""
    if isinstance(given, GoldSource):
        (first, *_) = given.files
        given = first if storage.exists(storage.join(first, MANIFEST)) else given
    if isinstance(given, str):
        if not storage.exists(storage.join(given, MANIFEST)):
            return GoldSource((given,))
        return PublishedFolder(given).read()
    return given if isinstance(given, GoldSource | pa.Table) else pa.table(given)


def kind_of(side: str, table: pa.Table) -> str:
    """Which of KEYS and IDS a table has. Raises ValueError where it has none, or no doc_id."""
    kind = next((kind for kind in (IDS, KEYS) if kind in table.column_names), None)
    if kind is None or "doc_id" not in table.column_names:
        there = ", ".join(table.column_names)
        raise ValueError(f"{side}: doc_id and {KEYS} or {IDS} are needed, there are: {there}")
    return kind


def _refuse_mixed(kind: str, gold: pa.Table | GoldSource) -> None:
    if isinstance(gold, pa.Table) and (other := kind_of("gold", gold)) != kind:
        said = f"answers have {kind}, gold have {other}"
        raise ValueError(f"{said}: give `labels`, with label_id and label_key")


def _write_rejects(gold: Gold, uri: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, schemas.REJECTS.names)
    writer.writeheader()
    writer.writerows(gold.rejects)
    storage.write_bytes(uri, text.getvalue().encode())


def _name(source: GoldSource) -> str:
    return ", ".join(source.files)


def own_names(*tables: pa.Table) -> LabelNames:
    """The labels that tables of tags name themselves; none of those that have ids only."""
    texts: dict[str, str] = {}
    for table in tables:
        named = [name for name in (KEYS, "labels") if name in table.column_names]
        for row in table.select(named).to_pylist() if KEYS in named else ():
            keys = row[KEYS] or ()
            texts.update(zip(keys, row.get("labels") or keys, strict=True))
    return LabelNames(list(texts), list(texts.values()))


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
